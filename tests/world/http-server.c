/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "http/http-server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/str-util.h"
#include "http/http-refusal.h"
#include "world/inside.h"

#define HEADERS_MAX 8

typedef struct Headers {
        char *names[HEADERS_MAX], *values[HEADERS_MAX];
        size_t n;
} Headers;

struct HttpServer {
        Source source;
        char address[ADDRESS_STRING_MAX];
        HttpService service;
        HttpExchange *waiting, *suspended;
        HttpServer *prev, *next;
};

struct HttpExchange {
        HttpServer *server;
        HttpMatch match;
        HttpSink sink;
        char *method, *path, *query, *token, *body, *header, *value;
        char **query_words; /* "name=value", decoded */
        bool replied, suspended;
        HttpExchange *prev, *next;
};

struct HttpAnswer {
        unsigned status;
        char *body;
        size_t size;
        Headers headers;
};

static HttpServer *servers;

void http_server_world_begin(void)
{
        servers = NULL;
}

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

/* Splits "&name=value&…": each '&' and '=' becomes a NUL. */
static void split_query(HttpExchange *x)
{
        char *copy = world_strdup(x->query), *rest = copy, *word;

        while (copy[0] && (word = strsep(&rest, "&"))) {
                decode(word);
                assert(strv_append(&x->query_words, word) >= 0);
        }
}

static HttpServer *server_find(const char *address)
{
        HttpServer *s;

        DL_FOREACH(servers, s)
                if (strcmp(s->address, address) == 0)
                        return s;
        return NULL;
}

bool server_take(const char *address, const HttpInput *input, const HttpSink *sink)
{
        HttpServer *s = server_find(address);

        if (!s)
                return false;
        HttpExchange *x = calloc(1, sizeof *x);
        assert(x);
        x->server = s;
        x->sink = *sink;
        x->method = world_strdup(input->method);
        x->path = world_strdup(input->path);
        x->token = world_strdup(input->token);
        x->body = world_strdup(input->body ?: "");
        x->header = world_strdup(input->header);
        x->value = world_strdup(input->value);
        x->query = strchr(x->path, '?');
        if (x->query)
                *x->query++ = '\0';
        else
                x->query = x->path + strlen(x->path);
        split_query(x);
        decode(x->path);
        DL_APPEND(s->waiting, x);
        return true;
}

static void exchange_free(HttpExchange *x)
{
        strv_free(x->query_words);
        free(x);
}

static void answer(HttpExchange *x, unsigned status, const void *body, size_t size, const Headers *headers)
{
        assert(!x->replied);
        x->replied = true;
        for (size_t i = 0; headers && i < headers->n; i++)
                if (x->sink.header)
                        x->sink.header(headers->names[i], headers->values[i], x->sink.userdata);
        if (status == 405 && x->sink.header)
                x->sink.header("Allow", x->match.allow, x->sink.userdata);
        x->sink.answered(status, body, size, x->sink.userdata);
        if (!x->suspended)
                return;
        DL_DELETE(x->server->suspended, x);
        exchange_free(x);
}

static void refuse(HttpExchange *x, unsigned status)
{
        char *json = http_refusal(status, &status);

        http_reply(x, status, json);
}

static bool is_ready(Source *s)
{
        return CONTAINER_OF(s, HttpServer, source)->waiting;
}

static void on_ready(Source *source)
{
        HttpServer *s = CONTAINER_OF(source, HttpServer, source);
        HttpExchange *x = s->waiting;

        DL_DELETE(s->waiting, x);
        unsigned status = (unsigned) http_route_find(
                        s->service.routes, s->service.n_routes, x->method, x->path, &x->match);
        if (status == 200 && strlen(x->body) > x->match.route->body_max)
                status = 413;
        if (status == 200)
                x->match.route->fn(x, s->service.userdata);
        else
                refuse(x, status);
        if (x->replied)
                exchange_free(x);
        else {
                x->suspended = true;
                DL_APPEND(s->suspended, x);
        }
}

int http_server_new(Loop *loop, int fd, const HttpService *service, HttpServer **ret)
{
        const char *address = listener_address(fd);
        HttpServer *s;

        if (!address)
                return -EBADF;
        s = calloc(1, sizeof *s);
        assert(s);
        strcpy(s->address, address);
        s->service = *service;
        source_add(&s->source, loop, is_ready, on_ready);
        DL_APPEND(servers, s);
        *ret = s;
        return 0;
}

HttpServer *http_server_free(HttpServer *s)
{
        if (!s)
                return NULL;
        while (s->suspended)
                refuse(s->suspended, 503);
        for (HttpExchange *x; (x = s->waiting);) {
                DL_DELETE(s->waiting, x);
                refuse(x, 503);
                exchange_free(x);
        }
        source_remove(&s->source);
        DL_DELETE(servers, s);
        free(s);
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

HttpAnswer *http_answer_new(unsigned status, const void *body, size_t size)
{
        HttpAnswer *a = calloc(1, sizeof *a);

        assert(a);
        a->status = status;
        a->body = malloc(size + 1);
        assert(a->body);
        if (size > 0)
                memcpy(a->body, body, size);
        a->size = size;
        if (size > 0)
                (void) !http_answer_add_header(a, "Content-Type", "application/json");
        return a;
}

int http_answer_add_header(HttpAnswer *a, const char *name, const char *value)
{
        Headers *h = &a->headers;

        assert(h->n < HEADERS_MAX);
        h->names[h->n] = strdup(name);
        h->values[h->n++] = strdup(value);
        return 0;
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

/* Requests of the test. */

typedef struct Seen {
        TestExchange exchange;
        Headers headers;
} Seen;

static void on_header(const char *name, const char *value, void *userdata)
{
        Headers *h = &((Seen *) userdata)->headers;

        assert(h->n < HEADERS_MAX);
        h->names[h->n] = world_strdup(name);
        h->values[h->n++] = world_strdup(value);
}

static void on_answered(unsigned status, const void *body, size_t size, void *userdata)
{
        TestExchange *x = &((Seen *) userdata)->exchange;

        x->status = status;
        x->body = world_alloc(size + 1);
        if (size > 0)
                memcpy(x->body, body, size);
        x->size = size;
}

TestExchange *world_http_with(const char *address, const char *method, const char *path, const char *token,
                const char *body, const char *header, const char *value)
{
        Seen *seen = world_alloc(sizeof *seen);
        const HttpInput input = {method, path, token, body, header, value};
        const HttpSink sink = {on_answered, on_header, seen};

        return server_take(address, &input, &sink) ? &seen->exchange : NULL;
}

TestExchange *world_http(const char *address, const char *method, const char *path, const char *token,
                const char *body)
{
        return world_http_with(address, method, path, token, body, NULL, NULL);
}

const char *world_header(const TestExchange *x, const char *name)
{
        const Seen *seen = (const void *) x;

        for (size_t i = 0; i < seen->headers.n; i++)
                if (strcasecmp(seen->headers.names[i], name) == 0)
                        return seen->headers.values[i];
        return NULL;
}
