/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Random numbers and UUIDs. */

#include "base/random.h"

/* Bytes that are fetched at once for many small requests. Embed it by value, zero-initialised. A process
 * that forks must not go on to use it on both sides. */
typedef struct RandomPool {
        uint8_t bytes[4096];
        size_t left;
} RandomPool;

int random_pool_take(RandomPool *p, void *ret, size_t n); /* n <= 4096; 0 or negative errno */

/* A UUID of version 4. `p` may be NULL: the kernel is asked for this one. 0 or negative errno. */
int random_uuid(RandomPool *p, uint8_t ret[static 16]);

/* For backoff and seeds of hashes, where 0 is good enough when the kernel has none. */
uint64_t random_u64(void);
