/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* libmicrohttpd on sd-event, one daemon per listening socket. A route's function answers with http_reply(),
 * at once or later: a request without an answer is suspended, and the owner must answer it in bounded time,
 * since nothing is seen of its peer meanwhile. */

#include <systemd/sd-event.h>

#include "base/error.h"
#include "http/http-route.h"

typedef struct HttpServer HttpServer;

/* `fd` stays the caller's. `local`: a Unix socket. */
int http_server_new(sd_event *event, int fd, bool local, const HttpRoute *routes, size_t n_routes,
                void *userdata, HttpServer **ret);
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

/* Answers with JSON (NULL: no body) and takes `json` (malloc'ed). Once per request. */
void http_reply(HttpExchange *x, unsigned status, char *json);
