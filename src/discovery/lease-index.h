/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Finds leases by id and by name. */

#include "discovery/lease.h"

/* Begins as {.hash_seed = a random number}. */
typedef struct LeaseIndex {
        uint64_t hash_seed;
        Index by_id, by_name;
} LeaseIndex;

Lease *lease_index_find(const LeaseIndex *x, sd_id128_t id);
Lease *lease_index_find_name(const LeaseIndex *x, const char *name);

/* Its id and name must not be in the index. 0 or -ENOMEM; an add that follows a remove never fails. */
int lease_index_add(LeaseIndex *x, Lease *l) _must_use_;
void lease_index_remove(LeaseIndex *x, Lease *l);
void lease_index_clear(LeaseIndex *x);
