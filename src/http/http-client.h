/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* HTTP requests that never block (libcurl on the loop), over TCP or over a Unix socket. Callbacks are called
 * from the loop, never from inside http_client_request(). */

#include "base/error.h"
#include "model/address.h"
#include "runtime/loop.h"

typedef struct HttpClient HttpClient;
typedef struct HttpRequest HttpRequest;

/* `status` is the HTTP status, or a negative errno (-ETIMEDOUT, -ECONNREFUSED, -EMSGSIZE, -EIO …) with the
 * reason in `error`. `body` is NUL-terminated. `local_ip` is the address of this host that was used; "" over
 * Unix sockets. Both live during the call only. The request has ended and must not be cancelled any more. */
typedef void (*HttpDone)(int status, const char *body, size_t size, const char *local_ip, const Error *error,
                void *userdata);

typedef struct HttpCall {
        const char *method;    /* "GET", "POST", "DELETE" */
        const char *path;      /* with its query: "/v1/receivers?group=a" */
        const char *token;     /* Authorization: Bearer TOKEN, or NULL */
        const char *body;      /* JSON, or NULL */
        size_t body_max;       /* of the answer; 0: 16 MiB */
        uint64_t timeout_usec; /* for everything; 0: 10 s. A long poll needs its wait and some seconds. */
        uint64_t connect_usec; /* the part of it until the connection is made; 0: 3 s */
} HttpCall;

int http_client_new(Loop *loop, HttpClient **ret);
HttpClient *http_client_free(HttpClient *c); /* cancels all requests; no callback is called */
DEFINE_CLEANUP(HttpClient *, http_client_free)

/* Copies `call`. *ret (`ret` may be NULL) is valid until `done` is called. 0 or negative errno; then `done`
 * is not called. */
int http_client_request(HttpClient *c, const Address *server, const HttpCall *call, HttpDone done,
                void *userdata, HttpRequest **ret);

/* `done` will not be called. Not from inside its own `done`. NULL is fine. Returns NULL. */
HttpRequest *http_request_cancel(HttpRequest *request);
