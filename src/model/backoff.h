/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How long to wait before the next attempt. Pure: the caller passes the random number. */

#include "base/time-util.h"

typedef struct Backoff {
        uint64_t first_usec; /* delay after the first failure; 0: none */
        uint64_t max_usec;   /* the delay doubles up to this */
} Backoff;

/* Delay after `failures` (1 or more) failures in a row. `random` is uniform over all 64 bits. The result is
 * anywhere up to the exponential delay ("full jitter"), so that peers do not come back all at once. */
uint64_t backoff_delay(const Backoff *b, unsigned failures, uint64_t random);

/* For whoever refuses: a receiver that is busy or takes no connections, or discovery. 100 ms … 5 s. */
extern const Backoff BACKOFF_REFUSED;
