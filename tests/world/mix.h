/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* splitmix64: the random numbers of worlds, plans, handlers and payloads. */

#include <stdint.h>

static inline uint64_t mix64(uint64_t x)
{
        x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
        return x ^ x >> 31;
}

/* The next number. */
static inline uint64_t splitmix64(uint64_t *state)
{
        *state += UINT64_C(0x9e3779b97f4a7c15);
        return mix64(*state);
}
