/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void buffer_clear(Buffer *b)
{
        free(b->data);
        *b = (Buffer){};
}

uint8_t *buffer_reserve(Buffer *b, size_t n)
{
        size_t size = buffer_size(b);

        if (b->allocated - b->end >= n && b->data)
                return b->data + b->end;

        /* Closing the gap is cheap as long as it moves less than it frees. */
        if (b->data && b->allocated - size >= n && b->start >= size) {
                memcpy(b->data, b->data + b->start, size);
        } else {
                size_t want = MAX(b->allocated, 4096u);
                while (want - size < n) {
                        if (want > SIZE_MAX / 2)
                                return NULL;
                        want *= 2;
                }
                uint8_t *data = malloc(want);
                if (!data)
                        return NULL;
                if (size > 0)
                        memcpy(data, b->data + b->start, size);
                free(b->data);
                b->data = data;
                b->allocated = want;
        }
        b->start = 0;
        b->end = size;
        return b->data + b->end;
}

void buffer_added(Buffer *b, size_t n)
{
        assert(n <= b->allocated - b->end);
        b->end += n;
}

int buffer_append(Buffer *b, const void *data, size_t n)
{
        if (n == 0)
                return 0;

        uint8_t *room = buffer_reserve(b, n);
        if (!room)
                return -ENOMEM;
        memcpy(room, data, n);
        b->end += n;
        return 0;
}

void buffer_consume(Buffer *b, size_t n)
{
        assert(n <= buffer_size(b));
        b->start += n;
        b->consumed += n;
        if (b->start == b->end)
                b->start = b->end = 0;
}
