/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* HTTP requests of tests to daemons (world.h). */

#include <string.h>

#include "world/bound.h"
#include "world/http.h"

typedef struct Seen {
        TestExchange exchange;
        Headers headers;
} Seen;

static void on_header(const char *name, const char *value, void *userdata)
{
        Headers *h = &((Seen *) userdata)->headers;

        assert(h->n < HEADERS_MAX);
        h->names[h->n] = world_strdup(name);
        h->values[h->n++] = world_strdup(value);
}

static void on_answered(int status, const void *body, size_t size, void *userdata)
{
        TestExchange *x = &((Seen *) userdata)->exchange;

        x->status = (unsigned) MAX(status, 0);
        x->body = world_alloc(size + 1);
        if (size > 0)
                memcpy(x->body, body, size);
        x->size = size;
}

TestExchange *world_http_with(const char *address, const char *method, const char *path, const char *token,
                const char *body, const char *header, const char *value)
{
        Address a;
        Bound *bound = address_parse(address, &a, NULL) >= 0 ? bound_find(NULL, &a, NULL) : NULL;
        Seen *seen = world_alloc(sizeof *seen);
        const HttpInput input = {method, path, token, body, header, value};
        const HttpSink sink = {on_answered, on_header, seen};

        return server_take(bound, &input, &sink) ? &seen->exchange : NULL;
}

TestExchange *world_http(const char *address, const char *method, const char *path, const char *token,
                const char *body)
{
        return world_http_with(address, method, path, token, body, NULL, NULL);
}

const char *world_header(const TestExchange *x, const char *name)
{
        const Seen *seen = (const void *) x;

        for (size_t i = 0; i < seen->headers.n; i++)
                if (strcasecmp(seen->headers.names[i], name) == 0)
                        return seen->headers.values[i];
        return NULL;
}
