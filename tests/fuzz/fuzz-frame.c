/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each step takes something off, and nothing lies outside. */
static void walk(Bytes attributes)
{
        const uint8_t *end = attributes.data + attributes.size;
        size_t before = attributes.size;
        Bytes value;
        uint8_t tag;

        while (frame_next_attribute(&attributes, &tag, &value)) {
                if (attributes.size >= before || value.data + value.size > end)
                        abort();
                before = attributes.size;
        }
}

/* Any bytes: decoding ends in a frame, in "more is needed" that more bytes can satisfy, or in an error. What
 * was decoded is encoded to the same bytes again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        while (size > 0) {
                Buffer again = {};
                Frame f;
                Error error = {};
                size_t need = 0;

                ssize_t n = frame_decode(data, size, FRAME_BODY_MAX, &f, &need, &error);
                if (n == 0 && (need <= size || need > FRAME_HEADER_SIZE + FRAME_BODY_MAX))
                        abort();
                if (n < 0 && (error.text[0] == '\0' || (n != -EBADMSG && n != -EMSGSIZE)))
                        abort();
                if (n <= 0)
                        return 0;

                if (f.type == FRAME_SUBMIT)
                        walk(f.submit.attributes);
                if (f.type == FRAME_MESSAGE)
                        walk(f.message.attributes);
                if (f.type != FRAME_SETTLED) {
                        if (frame_encode(&again, &f) < 0 || buffer_size(&again) != (size_t) n ||
                                        memcmp(buffer_peek(&again), data, (size_t) n) != 0)
                                abort();
                } else
                        for (size_t i = 0; i < f.settled.n_ranges; i++)
                                if (settled_frame_range(&f.settled, i).first < f.settled.low)
                                        abort();
                buffer_clear(&again);
                data += n;
                size -= (size_t) n;
        }
        return 0;
}
