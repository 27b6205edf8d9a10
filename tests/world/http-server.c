/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "http/http-server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/str-util.h"
#include "http/http-refusal.h"
#include "world/bound.h"
#include "world/http.h"
#include "world/scheduler.h"

struct HttpServer {
        Source source;
        Owned owned;
        Bound *bound; /* where new requests wait */
        HttpService service;
        HttpExchange *taken; /* without an answer */
};

struct HttpExchange {
        HttpServer *server; /* that has taken it */
        HttpMatch match;
        HttpSink sink;
        char *method, *path, *query, *token, *body, *header, *value;
        char **query_words; /* "name=value", decoded */
        bool replied;
        bool is_running; /* its function runs; it must not be freed */
        HttpExchange *prev, *next;
};

static unsigned fail_in;

void http_server_world_begin(void)
{
        fail_in = 0;
}

void world_fail_answer(unsigned n)
{
        fail_in = n;
}

static bool fails(void)
{
        return fail_in > 0 && --fail_in == 0;
}

struct HttpAnswer {
        unsigned status;
        char *body;
        size_t size;
        Headers headers;
};

/* Requests. */

static int hex(char c)
{
        return c >= '0' && c <= '9'   ? c - '0'
               : c >= 'a' && c <= 'f' ? c - 'a' + 10
               : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                      : -1;
}

static void decode(char *s)
{
        char *to = s;

        for (; *s; s++)
                if (*s == '%' && hex(s[1]) >= 0 && hex(s[2]) >= 0) {
                        *to++ = (char) (hex(s[1]) * 16 + hex(s[2]));
                        s += 2;
                } else
                        *to++ = *s == '+' ? ' ' : *s;
        *to = '\0';
}

/* Splits "name=value&…" into decoded words. */
static void split_query(HttpExchange *x)
{
        char *copy = strdup(x->query), *rest = x->query[0] ? copy : NULL, *word;

        assert(copy);
        while ((word = strsep(&rest, "&"))) {
                decode(word);
                assert(strv_append(&x->query_words, word) >= 0);
        }
        free(copy);
}

char *http_copy(const char *s)
{
        char *copy = s ? strdup(s) : NULL;

        assert(copy || !s);
        return copy;
}

bool server_take(Bound *b, const HttpInput *input, const HttpSink *sink)
{
        if (!b || (!b->server && !(b->machine && bound_is_open(b))))
                return false;
        HOST_SCOPE;
        HttpExchange *x = calloc(1, sizeof *x);
        assert(x);
        x->sink = *sink;
        x->method = http_copy(input->method);
        x->path = http_copy(input->path);
        x->token = http_copy(input->token);
        x->body = http_copy(input->body ?: "");
        x->header = http_copy(input->header);
        x->value = http_copy(input->value);
        x->query = strchr(x->path, '?');
        if (x->query)
                *x->query++ = '\0';
        else
                x->query = x->path + strlen(x->path);
        split_query(x);
        decode(x->path);
        DL_APPEND(b->waiting, x);
        if (b->server)
                process_wake(b->process);
        return true;
}

static void exchange_free(HttpExchange *x)
{
        strv_free(x->query_words);
        free(x->method);
        free(x->path);
        free(x->token);
        free(x->body);
        free(x->header);
        free(x->value);
        free(x);
}

/* Its client gets no answer. */
static void lose(HttpExchange *x, const Machine *m)
{
        if (!x->replied)
                x->sink.answered(m && !machine_is_on(m) ? 0 : -ECONNRESET, NULL, 0, x->sink.userdata);
        exchange_free(x);
}

void http_drop_waiting(Bound *b)
{
        for (HttpExchange *x; (x = b->waiting);) {
                DL_DELETE(b->waiting, x);
                lose(x, b->machine);
        }
}

static void tell(HttpExchange *x, unsigned status, const void *body, size_t size, const Headers *headers)
{
        HOST_SCOPE;

        for (size_t i = 0; headers && i < headers->n; i++)
                if (x->sink.header)
                        x->sink.header(headers->names[i], headers->values[i], x->sink.userdata);
        if (status == 405 && x->sink.header)
                x->sink.header("Allow", x->match.allow, x->sink.userdata);
        x->sink.answered((int) status, body, size, x->sink.userdata);
}

static void answer(HttpExchange *x, unsigned status, const void *body, size_t size, const Headers *headers)
{
        assert(!x->replied);
        kill_point();
        x->replied = true;
        tell(x, status, body, size, headers);
        if (x->is_running)
                return;
        DL_DELETE(x->server->taken, x);
        exchange_free(x);
}

static void refuse(HttpExchange *x, unsigned status)
{
        char *json = http_refusal(status, &status);

        http_reply(x, status, json);
}

static bool is_ready(Source *s)
{
        return CONTAINER_OF(s, HttpServer, source)->bound->waiting;
}

static void on_ready(Source *source)
{
        HttpServer *s = CONTAINER_OF(source, HttpServer, source);
        HttpExchange *x = s->bound->waiting;

        DL_DELETE(s->bound->waiting, x);
        DL_APPEND(s->taken, x);
        x->server = s;
        x->is_running = true;
        unsigned status = (unsigned) http_route_find(
                        s->service.routes, s->service.n_routes, x->method, x->path, &x->match);
        if (status == 200 && strlen(x->body) > x->match.route->body_max)
                status = 413;
        if (status == 200)
                x->match.route->fn(x, s->service.userdata);
        else
                refuse(x, status);
        x->is_running = false;
        if (x->replied) {
                DL_DELETE(s->taken, x);
                exchange_free(x);
        }
}

static void reclaim(Owned *o)
{
        HttpServer *s = CONTAINER_OF(o, HttpServer, owned);

        for (HttpExchange *x; (x = s->taken);) {
                DL_DELETE(s->taken, x);
                lose(x, s->bound->machine);
        }
        source_remove(&s->source);
        s->bound->server = NULL;
        free(s);
}

int http_server_new(Loop *loop, int fd, const HttpService *service, HttpServer **ret)
{
        Bound *b = bound_of_fd(fd);
        HttpServer *s;

        if (!b)
                return -EBADF;
        if (!world_has_memory())
                return -ENOMEM;
        HOST_SCOPE;
        s = calloc(1, sizeof *s);
        assert(s);
        s->bound = b;
        s->service = *service;
        b->server = s;
        source_add(&s->source, loop, is_ready, on_ready);
        owned_add(&s->owned, reclaim);
        *ret = s;
        return 0;
}

/* On a machine, what the server has not taken stays with the listening socket. */
HttpServer *http_server_free(HttpServer *s)
{
        if (!s)
                return NULL;
        while (s->taken)
                refuse(s->taken, 503);
        for (HttpExchange *x; !s->bound->machine && (x = s->bound->waiting);) {
                DL_DELETE(s->bound->waiting, x);
                DL_APPEND(s->taken, x);
                x->server = s;
                refuse(x, 503);
        }
        owned_remove(&s->owned);
        reclaim(&s->owned);
        return NULL;
}

const char *http_argument(const HttpExchange *x)
{
        return x->match.argument;
}

const char *http_body(const HttpExchange *x, size_t *ret_size)
{
        *ret_size = strlen(x->body);
        return x->body;
}

void http_query_each(const HttpExchange *x, const char *name, bool (*fn)(const char *value, void *userdata),
                void *userdata)
{
        size_t n = strlen(name);

        for (char **word = x->query_words; word && *word; word++)
                if (strncmp(*word, name, n) == 0 && ((*word)[n] == '=' || (*word)[n] == '\0'))
                        if (!fn((*word)[n] ? *word + n + 1 : "", userdata))
                                return;
}

static bool take_first(const char *value, void *userdata)
{
        *(const char **) userdata = value;
        return false;
}

const char *http_query(const HttpExchange *x, const char *name)
{
        const char *value = NULL;

        http_query_each(x, name, take_first, (void *) &value);
        return value;
}

const char *http_bearer(const HttpExchange *x)
{
        return x->token;
}

bool http_is_local(const HttpExchange *x)
{
        return x->server->service.local;
}

const char *http_header(const HttpExchange *x, const char *name)
{
        return x->header && strcasecmp(x->header, name) == 0 ? x->value : NULL;
}

/* Answers. */

static int add_header(HttpAnswer *a, const char *name, const char *value)
{
        Headers *h = &a->headers;

        assert(h->n < HEADERS_MAX);
        h->names[h->n] = strdup(name);
        h->values[h->n] = strdup(value);
        if (h->names[h->n] && h->values[h->n]) {
                h->n++;
                return 0;
        }
        free(h->names[h->n]);
        free(h->values[h->n]);
        return -ENOMEM;
}

HttpAnswer *http_answer_new(unsigned status, const void *body, size_t size)
{
        HttpAnswer *a = fails() ? NULL : calloc(1, sizeof *a);

        if (!a)
                return NULL;
        a->status = status;
        a->body = malloc(size + 1);
        if (!a->body)
                return http_answer_free(a);
        if (size > 0)
                memcpy(a->body, body, size);
        a->size = size;
        if (size > 0)
                (void) !add_header(a, "Content-Type", "application/json");
        return a;
}

int http_answer_add_header(HttpAnswer *a, const char *name, const char *value)
{
        return fails() ? -ENOMEM : add_header(a, name, value);
}

HttpAnswer *http_answer_free(HttpAnswer *a)
{
        if (!a)
                return NULL;
        for (size_t i = 0; i < a->headers.n; i++) {
                free(a->headers.names[i]);
                free(a->headers.values[i]);
        }
        free(a->body);
        free(a);
        return NULL;
}

void http_give(HttpExchange *x, const HttpAnswer *a)
{
        answer(x, a->status, a->body, a->size, &a->headers);
}

void http_reply(HttpExchange *x, unsigned status, char *json)
{
        char *name = (char *) "Content-Type", *value = (char *) "application/json";
        const Headers headers = {.names = {name}, .values = {value}, .n = 1};

        answer(x, status, json ?: "", json ? strlen(json) : 0, json ? &headers : NULL);
        free(json);
}
