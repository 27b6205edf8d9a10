/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is in messages and replies, so that a mixed up or damaged one is noticed. */

#include <stdio.h>
#include <string.h>

#include "sim/handler.h"
#include "world/mix.h"

static uint64_t mix(uint64_t x)
{
        return splitmix64(&x);
}

static void write_u32(uint8_t *to, uint32_t n)
{
        for (unsigned i = 0; i < 4; i++)
                to[i] = (uint8_t) (n >> (24 - 8 * i));
}

static uint32_t read_u32(const uint8_t *from)
{
        uint32_t n = 0;

        for (unsigned i = 0; i < 4; i++)
                n = n << 8 | from[i];
        return n;
}

size_t payload_size(const PlannedMessage *m)
{
        return MAX((size_t) m->size, (size_t) PAYLOAD_SIZE_MIN);
}

/* The i-th word behind the number. */
static void word(uint64_t number, size_t i, uint8_t ret[static 8])
{
        const uint64_t w = mix(number << 24 ^ (i + 1));

        write_u32(ret, (uint32_t) (w >> 32));
        write_u32(ret + 4, (uint32_t) w);
}

void payload_fill(uint64_t number, uint8_t *ret, size_t size)
{
        uint8_t bytes[8];

        write_u32(ret, (uint32_t) number);
        write_u32(ret + 4, (uint32_t) mix(number));
        for (size_t at = PAYLOAD_SIZE_MIN; at < size; at += sizeof bytes) {
                word(number, at / sizeof bytes, bytes);
                memcpy(ret + at, bytes, MIN(sizeof bytes, size - at));
        }
}

bool payload_read(const void *data, size_t size, uint64_t *ret_number)
{
        const uint8_t *from = data;
        uint8_t bytes[8];

        if (size < PAYLOAD_SIZE_MIN)
                return false;
        uint64_t number = read_u32(from);
        if (read_u32(from + 4) != (uint32_t) mix(number))
                return false;
        for (size_t at = PAYLOAD_SIZE_MIN; at < size; at += sizeof bytes) {
                word(number, at / sizeof bytes, bytes);
                if (memcmp(from + at, bytes, MIN(sizeof bytes, size - at)) != 0)
                        return false;
        }
        *ret_number = number;
        return true;
}

bool reply_read(const void *data, size_t size, uint64_t *ret_message, uint64_t *ret_run)
{
        unsigned long long message, run;
        char text[64];

        *ret_message = *ret_run = 0;
        if (size == 0)
                return true;
        const size_t n = MIN(size, sizeof text - 1);
        memcpy(text, data, n);
        text[n] = '\0';
        if (sscanf(text, "message %llu run %llu.", &message, &run) != 2)
                return false;
        for (const char *p = (const char *) data + strcspn(text, "."); p < (const char *) data + size; p++)
                if (*p != '.')
                        return false;
        *ret_message = message;
        *ret_run = run;
        return true;
}
