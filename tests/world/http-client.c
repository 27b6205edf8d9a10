/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "http/http-client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "world/trip.h"

#define BODY_DEFAULT_MAX     ((size_t) 16 << 20)
#define TIMEOUT_DEFAULT_USEC (10 * USEC_PER_SEC)
#define CONNECT_DEFAULT_USEC (3 * USEC_PER_SEC)

struct HttpRequest {
        HttpClient *client;
        Owned owned;
        Source source;
        Alarm timeout, connect_timeout;
        Trip *trip;
        size_t body_max;
        HttpDone done;
        void *userdata;
        HttpRequest *prev, *next; /* of the client */
};

struct HttpClient {
        Loop *loop;
        HttpRequest *requests;
};

int http_client_new(Loop *loop, HttpClient **ret)
{
        HttpClient *c = calloc(1, sizeof *c);

        if (!c)
                return -ENOMEM;
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

static void release(HttpRequest *q)
{
        q->trip->seen.is_open = false;
        trip_leave(q->trip);
        source_remove(&q->source);
        alarm_remove(&q->timeout);
        alarm_remove(&q->connect_timeout);
        free(q);
}

/* The client is memory of the process. */
static void reclaim(Owned *o)
{
        release(CONTAINER_OF(o, HttpRequest, owned));
}

HttpRequest *http_request_cancel(HttpRequest *q)
{
        if (!q)
                return NULL;
        DL_DELETE(q->client->requests, q);
        owned_remove(&q->owned);
        release(q);
        return NULL;
}

static bool is_ready(Source *s)
{
        return CONTAINER_OF(s, HttpRequest, source)->trip->has_answer;
}

static char own_ip[ADDRESS_MAX_LENGTH];

void world_local_ip(const char *ip)
{
        assert(strlen(ip) < sizeof own_ip);
        strcpy(own_ip, ip);
}

static const char *local_ip(const HttpRequest *q)
{
        const Trip *t = q->trip;

        if (t->server.kind == ADDRESS_UNIX)
                return "";
        if (!t->process || address_is_local(&t->server))
                return !t->process && own_ip[0] ? own_ip : "127.0.0.1";
        return t->is_connected ? machine_ip(process_machine(t->process)) : "";
}

static void finish(Source *s)
{
        HttpRequest *q = CONTAINER_OF(s, HttpRequest, source);
        Trip *t = q->trip;
        Error error = {};

        kill_point();
        if (t->status >= 0 && t->size > q->body_max) {
                t->size = 0;
                t->body[0] = '\0';
                t->status = error_set(&error, -EMSGSIZE, "the answer is larger than %zu bytes", q->body_max);
        } else if (t->status < 0)
                (void) error_set(&error, t->status, "%s", strerror(-t->status));
        q->done(t->status, t->body, t->size, local_ip(q), &error, q->userdata);
        http_request_cancel(q);
}

static void on_change(void *userdata)
{
        HttpRequest *q = userdata;

        if (q->trip->is_connected)
                q->connect_timeout.due = USEC_INFINITY;
        if (q->trip->has_answer)
                loop_wake(q->source.loop);
}

static void on_timeout(void *userdata)
{
        HttpRequest *q = userdata;

        if (q->trip->seen.is_open)
                trip_answer(q->trip, -ETIMEDOUT, NULL, 0);
}

int http_client_request(HttpClient *c, const Address *server, const HttpCall *call, HttpDone done,
                void *userdata, HttpRequest **ret)
{
        const HttpInput input = {call->method, call->path, call->token, call->body, NULL, NULL};
        const uint64_t now = now_usec(CLOCK_BOOTTIME);

        kill_point();
        if (!world_has_memory())
                return -ENOMEM;
        HOST_SCOPE;
        HttpRequest *q = calloc(1, sizeof *q);
        assert(q);
        q->client = c;
        q->body_max = call->body_max > 0 ? call->body_max : BODY_DEFAULT_MAX;
        q->done = done;
        q->userdata = userdata;
        q->trip = trip_new(server, &input, on_change, q);
        q->trip->seen.timeout_usec = call->timeout_usec > 0 ? call->timeout_usec : TIMEOUT_DEFAULT_USEC;
        source_add(&q->source, c->loop, is_ready, finish);
        alarm_add(&q->timeout, c->loop, on_timeout, q);
        q->timeout.due = usec_add(now, q->trip->seen.timeout_usec);
        alarm_add(&q->connect_timeout, c->loop, on_timeout, q);
        if (!q->trip->is_of_test)
                q->connect_timeout.due = usec_add(
                                now, call->connect_usec > 0 ? call->connect_usec : CONNECT_DEFAULT_USEC);
        owned_add(&q->owned, reclaim);
        DL_APPEND(c->requests, q);
        if (ret)
                *ret = q;
        trip_begin(q->trip);
        return 0;
}
