/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Random bytes of the kernel, fetched for many small requests at once. Embed it by value, zero-initialised.
 * Not for a process that forks and goes on in both. */

#include "base/macro.h"

typedef struct RandomPool {
        uint8_t bytes[4096];
        size_t left;
} RandomPool;

int random_pool_take(RandomPool *p, void *ret, size_t n); /* n <= 4096; 0 or negative errno */
