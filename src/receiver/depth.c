/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/depth.h"

#define WEIGHT 8u /* of the mean */

void depth_ended(Depth *d, uint64_t usec)
{
        if (!d->known)
                d->usec = usec;
        else
                d->usec = (d->usec * (WEIGHT - 1) + usec) / WEIGHT;
        d->known = true;
        d->stuck = false;
}

void depth_gave_back(Depth *d)
{
        d->stuck = true;
}

/* Steps of a factor of two, so that the credit does not change with each handler that ends. */
static uint64_t round_down(uint64_t n)
{
        uint64_t power = 1;

        while (power <= n / 2)
                power *= 2;
        return power;
}

static uint64_t depth(const Depth *d, const ReceiverConfig *config)
{
        if (!config->command || !config->command[0])
                return config->queue; /* the built-in handler takes no time */
        if (d->stuck || (d->known && d->usec >= DEPTH_GIVE_USEC))
                return 0;
        if (!d->known)
                return 1;
        const uint64_t n = (uint64_t) config->concurrency * DEPTH_USEC / MAX(d->usec, (uint64_t) 1);
        return n > config->queue ? config->queue : round_down(MAX(n, (uint64_t) 1));
}

unsigned depth_capacity(const Depth *d, const ReceiverConfig *config)
{
        return config->concurrency + (unsigned) MIN(depth(d, config), (uint64_t) config->queue);
}
