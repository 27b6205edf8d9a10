/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* http/http-server.h without sockets: a test sends requests to the servers that a program has started, and
 * reads the answers. Routes, limits of bodies and refusals are those of the real server. */

#include "http/http-server.h"

/* What is NULL is left out. */
typedef struct FakeRequest {
        const char *method; /* NULL: GET */
        const char *target; /* path and query; "%XX" is not decoded */
        const char *token;  /* Authorization: Bearer */
        const char *body;
        const char *type; /* Content-Type */
        const char *accept_encoding, *if_none_match;
} FakeRequest;

/* The server that was started last on a Unix socket or on TCP; NULL: there is none. */
HttpServer *fake_http_server(bool local);
const HttpService *fake_http_service(const HttpServer *s);

/* The caller frees it with fake_http_free() when it is answered. */
HttpExchange *fake_http_send(HttpServer *s, const FakeRequest *request);
HttpExchange *fake_http_free(HttpExchange *x);

unsigned fake_http_status(const HttpExchange *x); /* 0: not answered yet */
const char *fake_http_text(
                const HttpExchange *x, size_t *ret_size); /* NUL-terminated; ret_size may be NULL */
const char *fake_http_header(const HttpExchange *x, const char *name); /* of the answer, or NULL */

/* The n-th allocation of an answer from now fails. 0: none. */
void fake_http_fail(unsigned n);
