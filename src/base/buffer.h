/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A growing byte queue: bytes are appended at the end and consumed from the front. One owner; embed it by
 * value, zero-initialised. Consuming moves nothing: the gap in front is closed when room is needed. */

#include "base/macro.h"

typedef struct Buffer {
        uint8_t *data; /* allocation */
        size_t start;  /* first unread byte */
        size_t end;    /* behind the last byte */
        size_t allocated;
        uint64_t consumed; /* bytes, ever */
} Buffer;

void buffer_clear(Buffer *b); /* frees the allocation too */

static inline size_t buffer_size(const Buffer *b)
{
        return b->end - b->start;
}

static inline const uint8_t *buffer_peek(const Buffer *b)
{
        return b->data ? b->data + b->start : NULL; /* NULL + 0 is undefined in C */
}

/* Returns the address of room for `n` more bytes, or NULL when out of memory. The caller writes k <= n bytes
 * there, then calls buffer_added(k). */
uint8_t *buffer_reserve(Buffer *b, size_t n) _must_use_;
void buffer_added(Buffer *b, size_t n);

int buffer_append(Buffer *b, const void *data, size_t n) _must_use_; /* 0 or -ENOMEM */
void buffer_consume(Buffer *b, size_t n);
