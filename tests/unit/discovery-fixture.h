/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A discovery in the world of tests, for the tests of its parts. Include it behind cmocka.h. Each test
 * begins with an empty registry. */

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str-util.h"
#include "discovery/discovery.h"
#include "model/limits.h"
#include "world/disk.h"
#include "world/world.h"

#define UNUSED __attribute__((unused))
#define LOCAL  "unix:/run/d.sock"
#define REMOTE "tcp:127.0.0.1:7480"

static DiscoveryConfig config;
static Discovery *d;

/* The answer to the last request. */
static struct {
        unsigned status;
        cJSON *json;
        char etag[128], text[4096];
        size_t size;
} answer;

static void start(void)
{
        static char *listen[] = {(char *) LOCAL, (char *) REMOTE, NULL};
        Error error = {};

        config.listen = listen;
        config.state_directory = (char *) (uintptr_t) world_directory();
        assert_int_equal(discovery_new(&config, &d, &error), 0);
        world_advance(1); /* what was heard at the time of the start was not heard since the start */
}

static void stop(void)
{
        d = discovery_free(d);
}

static UNUSED void restart(void)
{
        stop();
        start();
}

static int setup(void **state)
{
        world_begin();
        log_set_level(LOG_EMERG);
        config = (DiscoveryConfig){
                        .seed_api = true, .lease_usec = LEASE_DEFAULT_USEC, .connections_per_address = 512};
        start();
        return 0;
}

static int teardown(void **state)
{
        stop();
        world_end();
        cJSON_Delete(answer.json);
        answer.json = NULL;
        return 0;
}

/* Reads the answer. */
static unsigned finish(const TestExchange *x)
{
        const char *etag = world_header(x, "ETag");

        cJSON_Delete(answer.json);
        answer.json = cJSON_Parse(x->body);
        answer.status = x->status;
        answer.size = x->size;
        (void) snprintf(answer.etag, sizeof answer.etag, "%s", etag ?: "");
        (void) snprintf(answer.text, sizeof answer.text, "%s", x->body);
        return answer.status;
}

static const TestExchange *begin(const char *server, const char *method, const char *target,
                const char *token, const char *body)
{
        const TestExchange *x = world_http(server, method, target, token, body);

        assert_non_null(x);
        world_settle();
        return x;
}

static UNUSED unsigned ask(const char *method, const char *target, const char *token, const char *body)
{
        return finish(begin(LOCAL, method, target, token, body));
}

static UNUSED unsigned ask_tcp(const char *method, const char *target, const char *token, const char *body)
{
        return finish(begin(REMOTE, method, target, token, body));
}

static UNUSED unsigned get(const char *target)
{
        return ask("GET", target, NULL, NULL);
}

/* A request that may wait. */
static UNUSED const TestExchange *poll_list(bool local, const char *target)
{
        return begin(local ? LOCAL : REMOTE, "GET", target, NULL, NULL);
}

static const char *field(const char *name)
{
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(answer.json, name));

        return text ?: "";
}

static UNUSED double number(const char *name)
{
        const cJSON *n = cJSON_GetObjectItem(answer.json, name);

        return cJSON_IsNumber(n) ? n->valuedouble : -1;
}

static UNUSED bool has(const char *name)
{
        return cJSON_GetObjectItem(answer.json, name);
}

static UNUSED const cJSON *error_of(const char *name)
{
        return cJSON_GetObjectItem(cJSON_GetObjectItem(answer.json, "error"), name);
}

static UNUSED const char *code(void)
{
        return cJSON_GetStringValue(error_of("code")) ?: "";
}

static UNUSED const char *wrong_field(void)
{
        return cJSON_GetStringValue(error_of("field")) ?: "";
}

/* The names of the list in the answer: "a b c". With removed: "a b -2", how many are removed at the end. */
static UNUSED const char *names(void)
{
        static char text[8192];
        size_t n = 0;
        const cJSON *one;

        text[0] = '\0';
        cJSON_ArrayForEach(one, cJSON_GetObjectItem(answer.json, "receivers"))
                n += (size_t) snprintf(text + n, sizeof text - n, "%s%s", n > 0 ? " " : "",
                                cJSON_GetStringValue(cJSON_GetObjectItem(one, "name")));
        if (has("removed"))
                (void) snprintf(text + n, sizeof text - n, "%s-%d", n > 0 ? " " : "",
                                cJSON_GetArraySize(cJSON_GetObjectItem(answer.json, "removed")));
        return text;
}

typedef struct Receiver {
        char id[40], token[40], name[64];
        unsigned instance;
} Receiver;

#define INSTANCE "00000000-0000-4000-8000-%012u"

/* `more`: further fields of the record, ",\"group\":\"g\"", or "". */
static UNUSED Receiver join_with(const char *name, unsigned instance, const char *more)
{
        Receiver r = {.instance = instance};
        char body[2048];

        (void) snprintf(body, sizeof body,
                        "{\"name\":\"%s\",\"instance\":\"" INSTANCE "\",\"addresses\":[\"unix:/run/%s\"]%s}",
                        name, instance, name, more);
        assert_int_equal(ask("POST", "/v1/receivers", NULL, body), 201);
        (void) snprintf(r.id, sizeof r.id, "%s", field("id"));
        (void) snprintf(r.token, sizeof r.token, "%s", field("token"));
        (void) snprintf(r.name, sizeof r.name, "%s", name);
        return r;
}

static UNUSED Receiver join(const char *name, const char *group)
{
        char more[128] = "";

        if (group)
                (void) snprintf(more, sizeof more, ",\"group\":\"%s\"", group);
        return join_with(name, 1, more);
}

/* Registers again; returns the status. */
static UNUSED unsigned again(const Receiver *r, const char *token, unsigned instance, const char *more)
{
        char body[2048];

        (void) snprintf(body, sizeof body,
                        "{\"id\":\"%s\",\"name\":\"%s\",\"instance\":\"" INSTANCE
                        "\",\"addresses\":[\"unix:/run/%s\"]%s}",
                        r->id, r->name, instance, r->name, more);
        return ask("POST", "/v1/receivers", token, body);
}

static UNUSED unsigned ask_of(
                const char *method, const Receiver *r, const char *what, const char *token, const char *body)
{
        char target[128];

        (void) snprintf(target, sizeof target, "/v1/receivers/%s%s", r->id, what);
        return ask(method, target, token, body);
}

static UNUSED unsigned heartbeat(const Receiver *r)
{
        return ask_of("POST", r, "/heartbeat", r->token, NULL);
}

static UNUSED void leave(const Receiver *r)
{
        assert_int_equal(ask_of("DELETE", r, "", r->token, NULL), 204);
}

static UNUSED void drain(const Receiver *r, bool on)
{
        assert_int_equal(ask_of("PUT", r, "/draining", NULL,
                                         on ? "{\"draining\":true}" : "{\"draining\":false}"),
                        204);
}

/* The revision of a list, as a copy that lives until the next but three calls. */
static UNUSED const char *revision_of(const char *target)
{
        static char texts[4][REVISION_MAX];
        static unsigned next;
        char *text = texts[next++ % ELEMENTSOF(texts)];

        assert_int_equal(get(target), 200);
        (void) snprintf(text, REVISION_MAX, "%s", field("revision"));
        return text;
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
