/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Random bytes of the kernel. */

#include "base/macro.h"

int random_bytes(void *ret, size_t n); /* 0 or negative errno */

/* Bytes fetched for many small requests at once. Embed it by value, zero-initialised. Not for a process that
 * forks and goes on in both. */
typedef struct RandomPool {
        uint8_t bytes[4096];
        size_t left;
} RandomPool;

int random_pool_take(RandomPool *p, void *ret, size_t n); /* n <= 4096; 0 or negative errno */

/* A UUID of version 4, as sd_id128_randomize() makes them. `p` may be NULL: not from a pool. 0 or negative
 * errno. */
int random_uuid(RandomPool *p, uint8_t ret[static 16]);
