/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/backoff.h"

const Backoff BACKOFF_REFUSED = {100 * USEC_PER_MSEC, 5 * USEC_PER_SEC};

uint64_t backoff_delay(const Backoff *b, unsigned failures, uint64_t random)
{
        uint64_t delay = b->first_usec;

        for (unsigned i = 1; i < failures && delay < b->max_usec; i++)
                delay = delay > UINT64_MAX / 2 ? UINT64_MAX : delay * 2;
        delay = MIN(delay, b->max_usec);
        return delay > 0 ? 1 + random % delay : 0;
}
