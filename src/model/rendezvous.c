/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/rendezvous.h"

#include <string.h>

/* A bijection that spreads every bit over all of them. */
static uint64_t mix(uint64_t x)
{
        x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
        x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
        return x ^ x >> 32;
}

uint64_t rendezvous_weight(sd_id128_t receiver, const char *key)
{
        uint64_t weight = mix(receiver.qwords[0]) ^ receiver.qwords[1];

        for (size_t n = strlen(key); n > 0;) {
                uint64_t word = 0;
                size_t step = MIN(n, sizeof word);

                memcpy(&word, key, step);
                weight = mix(weight ^ word) + step;
                key += step;
                n -= step;
        }
        return mix(weight);
}
