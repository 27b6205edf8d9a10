/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/clock.h"

#define USEC_PER_SEC  ((uint64_t) 1000000)
#define USEC_PER_MSEC ((uint64_t) 1000)
#define USEC_INFINITY UINT64_MAX

/* a + b, where infinity stays infinity. */
static inline uint64_t usec_add(uint64_t a, uint64_t b)
{
        return a > USEC_INFINITY - b ? USEC_INFINITY : a + b;
}

/* "5s", "1min 30s", "250ms": at most two units, for people. */
#define DURATION_MAX 40
const char *format_duration(char buffer[static DURATION_MAX], uint64_t usec);
