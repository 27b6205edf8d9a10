/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* All leases: adds, changes, renews and ends them. It tells the other modules of a change: groups (and
 * through them the lists and long polls), and the registry. */

#include "discovery/discovery-config.h"
#include "discovery/group.h"
#include "discovery/save.h"
#include "discovery/tombstone.h"

#define LEASES_MAX 2000000u

typedef struct Leases {
        const DiscoveryConfig *config;
        Groups *groups;
        Save *save;
        LeaseIndex index;
        InternedTexts labels;
        Tombstones tombstones;
        Slab slab;
        Heap expiry; /* each lease at a time that is not after its end */
        Timer expiry_timer;
        uint64_t fresh_until; /* no lease ends before; CLOCK_BOOTTIME */
        uint64_t loaded;      /* when the registry was read; CLOCK_BOOTTIME */
} Leases;

/* All are lent; `groups` must be ready, `save` before the first change. 0 or negative errno. */
int leases_init(Leases *ls, const DiscoveryConfig *config, Loop *loop, Groups *groups, Save *save);
/* Reads the registry, before db_start(). Each lease begins a full new period. 0 or negative errno. */
int leases_load(Leases *ls, Db *db);
void leases_clear(Leases *ls); /* tells nobody; no list may be cached and no long poll may wait */

/* Makes the lease of info->id, or replaces it. *ret is the lease. 0; 1: nothing has changed; -ENOMEM or
 * -ENOSPC. Its id must not be null, and no other lease may have its name. */
int leases_put(Leases *ls, const ReceiverInfo *info, sd_id128_t token, Lease **ret);
void leases_remove(Leases *ls, Lease *l);
void leases_drain(Leases *ls, Lease *l, bool drain); /* clients send it nothing new */
/* A heartbeat: costs the same however many leases there are. */
void leases_renew(Leases *ls, Lease *l);

/* When it ends without a heartbeat; CLOCK_BOOTTIME. */
uint64_t leases_due(const Leases *ls, const Lease *l);
/* When its receiver last registered or sent a heartbeat; CLOCK_BOOTTIME. 0: not since our start. */
uint64_t leases_heard(const Leases *ls, const Lease *l);
