/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which function answers a request: a table of method, path pattern ("*" is exactly one path segment) and
 * limits. */

#include "base/macro.h"

#define ROUTE_ARGUMENT_MAX 128
#define ROUTE_ALLOW_MAX    128

typedef struct HttpExchange HttpExchange;

typedef struct HttpRoute {
        const char *method;
        const char *pattern;
        size_t body_max;
        void (*fn)(HttpExchange *x, void *userdata);
} HttpRoute;

typedef struct HttpMatch {
        const HttpRoute *route;
        char argument[ROUTE_ARGUMENT_MAX]; /* what stands for the "*" */
        char allow[ROUTE_ALLOW_MAX];       /* for 405: "GET, POST" */
} HttpMatch;

/* Returns 200 and the route with its argument, 404, or 405 and `allow`. */
int http_route_find(const HttpRoute *routes, size_t n, const char *method, const char *path, HttpMatch *ret);
