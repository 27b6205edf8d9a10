/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "http/http-client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/str-util.h"
#include "world/inside.h"

#define TIMEOUT_DEFAULT_USEC (10 * USEC_PER_SEC)

struct HttpRequest {
        HttpClient *client;
        Source source;
        Alarm timeout;
        TestRequest *seen; /* the test's view of this request */
        Error error;
        int status;
        char *body; /* of the answer; NULL: there is none yet */
        HttpDone done;
        void *userdata;
        HttpRequest *prev, *next;         /* of the client */
        HttpRequest *all_prev, *all_next; /* of the world */
};

struct HttpClient {
        Loop *loop;
        HttpRequest *requests;
};

static HttpRequest *all;

void http_client_world_begin(void)
{
        all = NULL;
}

int http_client_new(Loop *loop, HttpClient **ret)
{
        HttpClient *c = calloc(1, sizeof *c);

        assert(c);
        c->loop = loop;
        *ret = c;
        return 0;
}

HttpClient *http_client_free(HttpClient *c)
{
        if (!c)
                return NULL;
        while (c->requests)
                http_request_cancel(c->requests);
        free(c);
        return NULL;
}

HttpRequest *http_request_cancel(HttpRequest *q)
{
        if (!q)
                return NULL;
        q->seen->is_open = false;
        source_remove(&q->source);
        alarm_remove(&q->timeout);
        DL_DELETE(q->client->requests, q);
        DL_DELETE2(all, q, all_prev, all_next);
        free(q);
        return NULL;
}

static bool is_ready(Source *s)
{
        return CONTAINER_OF(s, HttpRequest, source)->body;
}

static void finish(Source *s)
{
        HttpRequest *q = CONTAINER_OF(s, HttpRequest, source);
        const bool local = str_after_prefix(q->seen->server, "unix:");

        q->done(q->status, q->body, strlen(q->body), local ? "" : "127.0.0.1", &q->error, q->userdata);
        http_request_cancel(q);
}

static HttpRequest *of(const TestRequest *f)
{
        HttpRequest *q;

        DL_FOREACH2(all, q, all_next)
        if (q->seen == f)
                return q;
        return NULL;
}

void world_answer(TestRequest *f, int status, const char *body)
{
        HttpRequest *q = of(f);

        assert(q && f->is_open);
        f->is_open = false;
        q->status = status;
        q->body = world_strdup(body ?: "");
        if (status < 0)
                (void) error_set(&q->error, status, "%s", strerror(-status));
}

static void on_timeout(void *userdata)
{
        HttpRequest *q = userdata;

        if (q->seen->is_open)
                world_answer(q->seen, -ETIMEDOUT, NULL);
}

/* An answer from a daemon of this world. The request may be freed already. */
static void on_answered(unsigned status, const void *body, size_t size, void *userdata)
{
        TestRequest *f = userdata;
        char *text = world_alloc(size + 1);

        if (size > 0)
                memcpy(text, body, size);
        if (f->is_open)
                world_answer(f, (int) status, text);
}

int http_client_request(HttpClient *c, const Address *server, const HttpCall *call, HttpDone done,
                void *userdata, HttpRequest **ret)
{
        HttpRequest *q = calloc(1, sizeof *q);
        TestRequest *f = world_alloc(sizeof *f);
        char text[ADDRESS_STRING_MAX];

        assert(q);
        f->server = world_strdup(address_format(server, text));
        f->method = world_strdup(call->method);
        f->path = world_strdup(call->path);
        f->token = world_strdup(call->token);
        f->body = world_strdup(call->body);
        f->timeout_usec = call->timeout_usec > 0 ? call->timeout_usec : TIMEOUT_DEFAULT_USEC;
        f->is_open = true;
        q->client = c;
        q->seen = f;
        q->done = done;
        q->userdata = userdata;
        source_add(&q->source, c->loop, is_ready, finish);
        alarm_add(&q->timeout, c->loop, on_timeout, q);
        q->timeout.due = usec_add(now_usec(CLOCK_BOOTTIME), f->timeout_usec);
        DL_APPEND(c->requests, q);
        DL_APPEND2(all, q, all_prev, all_next);
        if (ret)
                *ret = q;
        const HttpInput input = {f->method, f->path, f->token, f->body, NULL, NULL};
        const HttpSink sink = {on_answered, NULL, f};
        if (!server_take(f->server, &input, &sink) && listener_is_closed(f->server))
                world_answer(f, -ECONNREFUSED, NULL);
        return 0;
}

TestRequest *world_request(const char *path)
{
        HttpRequest *q;

        DL_FOREACH2(all, q, all_next)
        if (q->seen->is_open && str_after_prefix(q->seen->path, path) &&
                        !listener_exists(q->seen->server, NULL))
                return q->seen;
        return NULL;
}
