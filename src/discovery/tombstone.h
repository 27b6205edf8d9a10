/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Receivers that left, or that moved to another group. A client that asks what changed since a revision gets
 * their ids as "removed". The newest TOMBSTONES_MAX are kept. */

#include <systemd/sd-id128.h>

#include "base/macro.h"

#define TOMBSTONES_MAX 65536u

typedef struct Tombstone {
        sd_id128_t id;
        uint64_t revision;   /* of the change */
        uint32_t group_hash; /* of the group that it left. Two groups may share a hash: then a client removes
                                a receiver that it does not know, which is harmless. */
        bool moved;          /* it is still there, in another group */
} Tombstone;

typedef struct Tombstones {
        Tombstone *ring; /* the next one goes to n % TOMBSTONES_MAX */
        uint64_t n;      /* ever added */
} Tombstones;

int tombstones_init(Tombstones *t); /* 0 or -ENOMEM */
void tombstones_clear(Tombstones *t);

/* Revisions must not decrease. */
void tombstones_add(Tombstones *t, const Tombstone *one);
/* The newest has age 0. NULL: none of this age is kept. */
const Tombstone *tombstones_get(const Tombstones *t, uint64_t age);
/* True when all that were added after this revision are still kept. */
bool tombstones_reach_back(const Tombstones *t, uint64_t revision);
