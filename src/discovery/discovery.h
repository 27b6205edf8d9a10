/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who is there: leases in memory, found by id and by name, ended by a heap; the registry on disk follows
 * behind. */

#include <uthash.h>

#include "base/heap.h"
#include "http/http-server.h"
#include "model/receiver-info.h"
#include "runtime/listen.h"
#include "runtime/loop.h"
#include "runtime/timer.h"
#include "store/registry.h"

#define LEASES_MAX  100000u
#define WAITERS_MAX 1024u

typedef struct Lease {
        ReceiverInfo info;
        sd_id128_t token;
        uint64_t seen; /* µs since the epoch */
        HeapItem expiry;
        UT_hash_handle hh_id, hh_name;
} Lease;

typedef struct Waiter Waiter;

typedef struct Discovery {
        char **listen;
        bool seed_api, allow_tcp, allow_insecure;
        uint64_t lease_usec;
        char *state_directory, *log_level;

        Loop *loop;
        Db *db;
        sd_event_source *db_source;
        ListenerSet listeners;
        HttpServer **servers;

        Lease *by_id, *by_name;
        Heap expiry;
        Timer expiry_timer;
        sd_id128_t epoch; /* of this start: revisions never repeat */
        uint64_t revision;

        Waiter *waiters;
        size_t n_waiters;
        Heap deadlines;
        Timer deadline_timer;
} Discovery;

int discovery_start(Discovery *d, Error *error);
void discovery_clear(Discovery *d);
void discovery_stop(void *userdata);

Lease *discovery_find(Discovery *d, sd_id128_t id);
Lease *discovery_find_name(Discovery *d, const char *name);
/* Takes `info` on success; replaces the lease of its id. */
int discovery_put(Discovery *d, ReceiverInfo *info, sd_id128_t token, Lease **ret);
void discovery_remove(Discovery *d, Lease *l);
void discovery_renew(Discovery *d, Lease *l);
#define REVISION_MAX 64
const char *discovery_revision(const Discovery *d, char buffer[static REVISION_MAX]);
