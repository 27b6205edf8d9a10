/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* HTTP between the files of the world. */

#include "world/bound.h"

#define HEADERS_MAX 8

typedef struct Headers {
        char *names[HEADERS_MAX], *values[HEADERS_MAX];
        size_t n;
} Headers;

typedef struct HttpSink {
        /* Called once. A negative errno: the server is gone; 0: its machine is, and nobody hears of it. */
        void (*answered)(int status, const void *body, size_t size, void *userdata);
        void (*header)(const char *name, const char *value, void *userdata); /* before `answered` */
        void *userdata;
} HttpSink;

typedef struct HttpInput {
        const char *method, *path, *token, *body, *header, *value;
} HttpInput;

char *http_copy(const char *s); /* malloc'ed; NULL for NULL */

/* Returns false if nobody serves HTTP there; NULL is fine. On a machine requests wait for a server. */
bool server_take(Bound *b, const HttpInput *input, const HttpSink *sink);
