/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* libmicrohttpd on sd-event, one daemon per listening socket. A route's function answers with http_reply(),
 * at once or later: a request without an answer is suspended, and the owner must answer it in bounded time,
 * since nothing is seen of its peer meanwhile. */

#include "base/error.h"
#include "http/http-route.h"
#include "runtime/loop.h"

typedef struct HttpServer HttpServer;

typedef struct HttpService {
        const HttpRoute *routes;
        size_t n_routes;
        void *userdata;
        bool local;                       /* a Unix socket */
        unsigned connections_per_address; /* of TCP; 0: no limit but that of all */
} HttpService;

/* `fd` stays the caller's, and the routes. */
int http_server_new(Loop *loop, int fd, const HttpService *service, HttpServer **ret);
/* Suspended requests are answered 503 first. */
HttpServer *http_server_free(HttpServer *s);
DEFINE_CLEANUP(HttpServer *, http_server_free)

const char *http_argument(const HttpExchange *x);
const char *http_body(const HttpExchange *x, size_t *ret_size);
const char *http_query(const HttpExchange *x, const char *name); /* the first, or NULL */
/* Every value of `name` ("" for a parameter without one), until fn returns false. */
void http_query_each(const HttpExchange *x, const char *name, bool (*fn)(const char *value, void *userdata),
                void *userdata);
const char *http_bearer(const HttpExchange *x); /* the token, or NULL */
bool http_is_local(const HttpExchange *x);      /* came over a Unix socket */

const char *http_header(const HttpExchange *x, const char *name); /* of the request, or NULL */

/* An answer that is made once and given any number of times, at the same time too. A body is JSON; a large
 * one goes from the page cache to the socket without being copied. */
typedef struct HttpAnswer HttpAnswer;
/* Copies the body. NULL: out of memory. */
HttpAnswer *http_answer_new(unsigned status, const void *body, size_t size);
int http_answer_add_header(HttpAnswer *a, const char *name, const char *value) _must_use_; /* 0, -ENOMEM */
HttpAnswer *http_answer_free(HttpAnswer *a); /* those that are being sent stay until they are */
DEFINE_CLEANUP(HttpAnswer *, http_answer_free)
void http_give(HttpExchange *x, const HttpAnswer *a);

/* Answers with JSON (NULL: no body) and takes `json` (malloc'ed). Once per request. */
void http_reply(HttpExchange *x, unsigned status, char *json);
