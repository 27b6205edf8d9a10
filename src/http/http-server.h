/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An HTTP server on the loop (libmicrohttpd), one for each listening socket. The function of a route answers
 * with http_reply() or http_give(), at once or later. A request without an answer is suspended: the loop
 * does not watch its connection, so the owner must answer it within a time limit of its own. */

#include "base/error.h"
#include "http/http-route.h"
#include "runtime/loop.h"

typedef struct HttpServer HttpServer;

typedef struct HttpService {
        const HttpRoute *routes;
        size_t n_routes;
        void *userdata;
        bool local;                       /* a Unix socket */
        unsigned connections_per_address; /* over TCP; 0: only the limit of all connections */
} HttpService;

/* The caller keeps `fd` and the routes, which must live as long as the server. 0 or negative errno. */
int http_server_new(Loop *loop, int fd, const HttpService *service, HttpServer **ret);
/* Answers suspended requests with 503. */
HttpServer *http_server_free(HttpServer *s);
DEFINE_CLEANUP(HttpServer *, http_server_free)

/* These read a request. What they return lives until the request is answered. */
const char *http_argument(const HttpExchange *x); /* what stands for the "*" of its route */
const char *http_body(const HttpExchange *x, size_t *ret_size);
const char *http_query(const HttpExchange *x, const char *name); /* the first value, or NULL */
/* Calls `fn` for each value of `name` ("" for a parameter without a value) until it returns false. */
void http_query_each(const HttpExchange *x, const char *name, bool (*fn)(const char *value, void *userdata),
                void *userdata);
const char *http_bearer(const HttpExchange *x); /* the token, or NULL */
bool http_is_local(const HttpExchange *x);      /* came over a Unix socket */

const char *http_header(const HttpExchange *x, const char *name); /* or NULL */

/* An answer that is made once and given to any number of requests. Its body is JSON; a large one goes to the
 * socket without being copied. */
typedef struct HttpAnswer HttpAnswer;
/* Copies the body. NULL: out of memory. */
HttpAnswer *http_answer_new(unsigned status, const void *body, size_t size);
int http_answer_add_header(HttpAnswer *a, const char *name, const char *value) _must_use_; /* 0, -ENOMEM */
HttpAnswer *http_answer_free(HttpAnswer *a); /* answers that are still being sent are not harmed */
DEFINE_CLEANUP(HttpAnswer *, http_answer_free)
void http_give(HttpExchange *x, const HttpAnswer *a);

/* Answers with JSON (NULL: no body) and frees `json`. Each request is answered once. */
void http_reply(HttpExchange *x, unsigned status, char *json);
