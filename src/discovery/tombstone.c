/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/tombstone.h"

#include <errno.h>
#include <stdlib.h>

int tombstones_init(Tombstones *t)
{
        *t = (Tombstones){.ring = calloc(TOMBSTONES_MAX, sizeof *t->ring)};
        return t->ring ? 0 : -ENOMEM;
}

void tombstones_clear(Tombstones *t)
{
        free(t->ring);
        *t = (Tombstones){};
}

void tombstones_add(Tombstones *t, const Tombstone *one)
{
        t->ring[t->n++ % TOMBSTONES_MAX] = *one;
}

const Tombstone *tombstones_get(const Tombstones *t, uint64_t age)
{
        return age < MIN(t->n, TOMBSTONES_MAX) ? t->ring + (t->n - 1 - age) % TOMBSTONES_MAX : NULL;
}

/* The one that is overwritten next is the oldest that is kept; those before it have at most its revision. */
bool tombstones_reach_back(const Tombstones *t, uint64_t revision)
{
        return t->n <= TOMBSTONES_MAX || t->ring[t->n % TOMBSTONES_MAX].revision <= revision;
}
