/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake/http-server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str-util.h"

#define HEADERS_MAX 8u

struct HttpAnswer {
        unsigned status;
        char *body;
        size_t size, n_headers;
        struct {
                char *name, *value;
        } headers[HEADERS_MAX];
};

struct HttpExchange {
        HttpServer *server;
        HttpMatch match;
        char *path, *query, *token, *body, *type, *accept_encoding, *if_none_match;
        char *value; /* values that http_query() returns; freed with the exchange */
        HttpAnswer *answer;
        HttpExchange *next;
};

struct HttpServer {
        HttpService service;
        HttpExchange *waiting;
        HttpServer *next;
};

static HttpServer *servers;
static unsigned fail_in;

void fake_http_fail(unsigned n)
{
        fail_in = n;
}

static HttpAnswer *answer_new(unsigned status, const void *body, size_t size)
{
        HttpAnswer *a = calloc(1, sizeof *a);

        assert(a);
        a->status = status;
        a->size = size;
        a->body = malloc(size + 1);
        assert(a->body);
        if (size > 0)
                memcpy(a->body, body, size);
        a->body[size] = '\0';
        return a;
}

static void add_header(HttpAnswer *a, const char *name, const char *value)
{
        assert(a->n_headers < HEADERS_MAX);
        a->headers[a->n_headers].name = strdup(name);
        a->headers[a->n_headers++].value = strdup(value);
}

int http_server_new(Loop *loop, int fd, const HttpService *service, HttpServer **ret)
{
        HttpServer *s = calloc(1, sizeof *s);

        assert(s);
        s->service = *service;
        s->next = servers;
        servers = s;
        *ret = s;
        return 0;
}

static void give(HttpExchange *x, HttpAnswer *answer)
{
        HttpExchange **at = &x->server->waiting;

        assert(!x->answer);
        assert(answer);
        x->answer = answer;
        while (*at && *at != x)
                at = &(*at)->next;
        if (*at)
                *at = x->next;
}

static void refuse(HttpExchange *x, unsigned status)
{
        HttpAnswer *a = answer_new(status, NULL, 0);

        if (status == 405)
                add_header(a, "Allow", x->match.allow);
        give(x, a);
}

HttpServer *http_server_free(HttpServer *s)
{
        HttpServer **at = &servers;

        if (!s)
                return NULL;
        while (s->waiting)
                refuse(s->waiting, 503);
        while (*at != s)
                at = &(*at)->next;
        *at = s->next;
        free(s);
        return NULL;
}

HttpServer *fake_http_server(bool local)
{
        HttpServer *s = servers;

        while (s && s->service.local != local)
                s = s->next;
        return s;
}

const HttpService *fake_http_service(const HttpServer *s)
{
        return &s->service;
}

static char *copy(const char *text)
{
        return text ? strdup(text) : NULL;
}

HttpExchange *fake_http_send(HttpServer *s, const FakeRequest *request)
{
        size_t path = strcspn(request->target, "?"), size = request->body ? strlen(request->body) : 0;
        const char *query = request->target + path;
        HttpExchange *x = calloc(1, sizeof *x);

        assert(x);
        *x = (HttpExchange){
                        .server = s,
                        .path = strndup(request->target, path),
                        .query = strdup(query[0] ? query + 1 : ""),
                        .token = copy(request->token),
                        .body = strdup(request->body ?: ""),
                        .type = copy(request->type),
                        .accept_encoding = copy(request->accept_encoding),
                        .if_none_match = copy(request->if_none_match),
                        .value = strdup(query[0] ? query + 1 : ""),
        };
        int status = http_route_find(s->service.routes, s->service.n_routes, request->method ?: "GET",
                        x->path, &x->match);
        if (status == 200 && size > x->match.route->body_max)
                status = 413;
        if (status == 200 && x->match.route->body_max > 0 && x->type &&
                        strncasecmp(x->type, "application/json", STRLEN("application/json")) != 0)
                status = 415;
        if (status != 200) {
                refuse(x, (unsigned) status);
                return x;
        }
        x->match.route->fn(x, s->service.userdata);
        if (!x->answer) {
                x->next = s->waiting;
                s->waiting = x;
        }
        return x;
}

HttpExchange *fake_http_free(HttpExchange *x)
{
        if (!x)
                return NULL;
        assert(x->answer); /* without an answer, the program may still use it */
        http_answer_free(x->answer);
        free(x->path);
        free(x->query);
        free(x->token);
        free(x->body);
        free(x->type);
        free(x->accept_encoding);
        free(x->if_none_match);
        free(x->value);
        free(x);
        return NULL;
}

unsigned fake_http_status(const HttpExchange *x)
{
        return x->answer ? x->answer->status : 0;
}

const char *fake_http_text(const HttpExchange *x, size_t *ret_size)
{
        if (ret_size)
                *ret_size = x->answer->size;
        return x->answer->body;
}

const char *fake_http_header(const HttpExchange *x, const char *name)
{
        for (size_t i = 0; i < x->answer->n_headers; i++)
                if (strcasecmp(x->answer->headers[i].name, name) == 0)
                        return x->answer->headers[i].value;
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

        /* `value` is a copy of the query in which each parameter ends with NUL. */
        for (const char *at = x->query; *at;) {
                size_t length = strcspn(at, "&");
                char *value = x->value + (at - x->query);

                value[length] = '\0';
                if (strncmp(value, name, n) == 0 && (value[n] == '=' || value[n] == '\0'))
                        if (!fn(value[n] ? value + n + 1 : "", userdata))
                                return;
                at += length + (at[length] == '&');
        }
}

static bool on_first(const char *value, void *userdata)
{
        *(const char **) userdata = value;
        return false;
}

const char *http_query(const HttpExchange *x, const char *name)
{
        const char *value = NULL;

        http_query_each(x, name, on_first, &value);
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
        const struct {
                const char *name, *value;
        } headers[] = {
                        {"Content-Type", x->type},
                        {"Accept-Encoding", x->accept_encoding},
                        {"If-None-Match", x->if_none_match},
        };

        for (size_t i = 0; i < ELEMENTSOF(headers); i++)
                if (strcasecmp(headers[i].name, name) == 0)
                        return headers[i].value;
        return NULL;
}

static bool fails(void)
{
        return fail_in > 0 && --fail_in == 0;
}

HttpAnswer *http_answer_new(unsigned status, const void *body, size_t size)
{
        return fails() ? NULL : answer_new(status, body, size);
}

int http_answer_add_header(HttpAnswer *a, const char *name, const char *value)
{
        if (fails())
                return -ENOMEM;
        add_header(a, name, value);
        return 0;
}

HttpAnswer *http_answer_free(HttpAnswer *a)
{
        if (!a)
                return NULL;
        for (size_t i = 0; i < a->n_headers; i++) {
                free(a->headers[i].name);
                free(a->headers[i].value);
        }
        free(a->body);
        free(a);
        return NULL;
}

void http_give(HttpExchange *x, const HttpAnswer *a)
{
        HttpAnswer *mine = answer_new(a->status, a->body, a->size);

        for (size_t i = 0; i < a->n_headers; i++)
                add_header(mine, a->headers[i].name, a->headers[i].value);
        give(x, mine);
}

void http_reply(HttpExchange *x, unsigned status, char *json)
{
        give(x, answer_new(status, json, json ? strlen(json) : 0));
        free(json);
}
