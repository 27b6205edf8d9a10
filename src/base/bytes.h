/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Integers and bytes in and out of binary formats, big-endian: frames on the wire, records in a log. */

#include <endian.h>
#include <string.h>

#include "base/buffer.h"

typedef struct Bytes {
        const uint8_t *data;
        size_t size;
} Bytes;

/* Reads front to back. A read beyond the end sets `bad` and returns zeroes. So a decoder reads all fields
 * and then checks `bad` once. */
typedef struct Reader {
        const uint8_t *data;
        size_t left;
        bool bad;
} Reader;

static inline Bytes take_bytes(Reader *in, size_t n)
{
        if (n > in->left) {
                in->bad = true;
                n = 0;
        }
        Bytes b = {in->data, n};
        in->data += n;
        in->left -= n;
        return b;
}

static inline void take_copy(Reader *in, void *out, size_t n)
{
        Bytes b = take_bytes(in, n);

        if (b.size == n)
                memcpy(out, b.data, n);
        else
                memset(out, 0, n);
}

static inline uint8_t take_u8(Reader *in)
{
        uint8_t v;

        take_copy(in, &v, sizeof v);
        return v;
}

static inline uint16_t take_u16(Reader *in)
{
        uint16_t v;

        take_copy(in, &v, sizeof v);
        return be16toh(v);
}

static inline uint32_t take_u32(Reader *in)
{
        uint32_t v;

        take_copy(in, &v, sizeof v);
        return be32toh(v);
}

static inline uint64_t take_u64(Reader *in)
{
        uint64_t v;

        take_copy(in, &v, sizeof v);
        return be64toh(v);
}

static inline Bytes take_rest(Reader *in)
{
        return take_bytes(in, in->left);
}

/* These do not check for room: the caller first calls buffer_reserve() for the whole record. */
static inline void put_bytes(Buffer *out, const void *data, size_t n)
{
        if (n == 0)
                return;
        memcpy(out->data + out->end, data, n);
        buffer_added(out, n);
}

static inline void put_u8(Buffer *out, uint8_t v)
{
        put_bytes(out, &v, sizeof v);
}

static inline void put_u16(Buffer *out, uint16_t v)
{
        v = htobe16(v);
        put_bytes(out, &v, sizeof v);
}

static inline void put_u32(Buffer *out, uint32_t v)
{
        v = htobe32(v);
        put_bytes(out, &v, sizeof v);
}

static inline void put_u64(Buffer *out, uint64_t v)
{
        v = htobe64(v);
        put_bytes(out, &v, sizeof v);
}
