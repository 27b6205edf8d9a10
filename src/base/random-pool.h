/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Random numbers and UUIDs. */

#include "base/random.h"

/* A supply of random bytes for many small requests; it asks the kernel once for 4096 bytes. Embed it by
 * value, zero-initialised. After a fork only one of the two processes may use it. */
typedef struct RandomPool {
        uint8_t bytes[4096];
        size_t left;
} RandomPool;

int random_pool_take(RandomPool *p, void *ret, size_t n); /* n <= 4096; 0 or negative errno */

/* A UUID of version 4. `p` NULL: takes the bytes directly from the kernel. 0 or negative errno. */
int random_uuid(RandomPool *p, uint8_t ret[static 16]);

/* For backoff and hash seeds only: returns 0 when the kernel has no random numbers. */
uint64_t random_u64(void);
