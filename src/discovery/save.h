/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writes changes of the leases to the registry. It collects changes for 100 ms and writes them in one batch,
 * each lease once however often it changed. A batch that the disk refuses is tried again. */

#include "discovery/lease-index.h"
#include "runtime/timer.h"
#include "store/registry.h"

typedef struct Save {
        const LeaseIndex *index;
        Db *db;
        Buffer unsaved, removed; /* ids of leases to write; rows of leases that are gone */
        uint64_t last_row;       /* the highest number in use */
        bool running;            /* a batch is at the database */
        Timer timer;
} Save;

/* Both are lent. `db` may start later. 0 or negative errno. */
int save_init(Save *s, Loop *loop, Db *db, const LeaseIndex *index);
/* Submits what is left; db_close() then waits for it. Does nothing before save_init(). */
void save_all(Save *s);
void save_clear(Save *s); /* after db_close() */

uint64_t save_new_row(Save *s);               /* a number for a lease that is new */
void save_row_is_used(Save *s, uint64_t row); /* it was read from the registry */
void save_lease(Save *s, Lease *l);           /* it has changed */
void save_removed(Save *s, const Lease *l);   /* it is about to be freed */
