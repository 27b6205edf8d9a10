/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* HTTP requests that never block: one curl multi handle on sd-event. The server is an Address, http:// over
 * TCP or over a Unix socket. Callbacks are called from the loop, never from inside http_client_request(). */

#include "base/error.h"
#include "model/address.h"
#include "runtime/loop.h"

typedef struct HttpClient HttpClient;
typedef struct HttpRequest HttpRequest;

/* status: the HTTP status, or negative errno (-ETIMEDOUT, -ECONNREFUSED, -EMSGSIZE, -EIO …) with the reason
 * in `error`. body: NUL-terminated; valid during the call, as `local_ip` is (the address that this host
 * used; "" over Unix sockets). The request is gone when this is called. */
typedef void (*HttpDone)(int status, const char *body, size_t size, const char *local_ip, const Error *error,
                void *userdata);

typedef struct HttpCall {
        const char *method;    /* "GET", "POST", "DELETE" */
        const char *path;      /* with its query: "/v1/receivers?group=a" */
        const char *token;     /* Authorization: Bearer TOKEN, or NULL */
        const char *body;      /* JSON, or NULL */
        size_t body_max;       /* of the answer; 0: 16 MiB */
        uint64_t timeout_usec; /* of all; 0: 10 s. For a long poll: the wait plus some seconds. */
        uint64_t connect_usec; /* of that, until it is connected; 0: 3 s */
} HttpCall;

int http_client_new(Loop *loop, HttpClient **ret);
HttpClient *http_client_free(HttpClient *c); /* cancels what is under way; no callback is called */
DEFINE_CLEANUP(HttpClient *, http_client_free)

/* Everything in `call` is copied. *ret (may be NULL) is valid until `done` is called. */
int http_client_request(HttpClient *c, const Address *server, const HttpCall *call, HttpDone done,
                void *userdata, HttpRequest **ret);

/* Forgets the request, `done` is not called. Not from inside its own callback. Returns NULL. */
HttpRequest *http_request_cancel(HttpRequest *request);
