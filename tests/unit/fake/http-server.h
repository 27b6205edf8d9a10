/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* http/http-server.h without sockets: the test sends requests to the servers that a program has started, and
 * reads the answers. Routes, size limits of bodies and refusals are the same as in the real server. */

#include "http/http-server.h"

/* The request omits fields that are NULL. */
typedef struct FakeRequest {
        const char *method; /* NULL: GET */
        const char *target; /* path and query; the fake does not decode "%XX" */
        const char *token;  /* Authorization: Bearer */
        const char *body;
        const char *type; /* Content-Type */
        const char *accept_encoding, *if_none_match;
} FakeRequest;

/* Returns the newest server on a Unix socket (`local`) or on TCP; NULL: there is none. */
HttpServer *fake_http_server(bool local);
const HttpService *fake_http_service(const HttpServer *s);

/* The caller frees the exchange with fake_http_free(), after the answer. */
HttpExchange *fake_http_send(HttpServer *s, const FakeRequest *request);
HttpExchange *fake_http_free(HttpExchange *x);

unsigned fake_http_status(const HttpExchange *x); /* 0: not answered yet */
const char *fake_http_text(
                const HttpExchange *x, size_t *ret_size); /* NUL-terminated; ret_size may be NULL */
const char *fake_http_header(const HttpExchange *x, const char *name); /* a header of the answer, or NULL */

/* The n-th allocation of an answer from now fails. 0: none fails. */
void fake_http_fail(unsigned n);
