/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who is there: leases in memory, found by id and by name, ended by a heap; the registry on disk follows
 * behind. What its parts do:
 *   discovery-lease  one receiver       discovery-group  lists of them, and revisions
 *   discovery-book   all of them        discovery-list   lists as answers
 *   discovery-save   the registry       discovery-watch  who waits for a change
 *   discovery-api    /v1                discovery-seed   the seed API */

#include "daemon/database.h"
#include "discovery/group.h"
#include "runtime/listen.h"
#include "runtime/loop.h"
#include "runtime/timer.h"
#include "store/registry.h"

#define LEASES_MAX  2000000u
#define WAITERS_MAX 1024u  /* over Unix sockets, and as many over TCP */
#define GONE_MAX    65536u /* receivers that left and are remembered, for those who ask what changed */

/* A receiver that left, or only this group. */
typedef struct Gone {
        sd_id128_t id;
        uint64_t revision;
        uint32_t group; /* hash of its name: to tell of one too many is harmless */
        bool moved;     /* to another group */
} Gone;

typedef struct DiscoveryConfig {
        char **listen;
        bool seed_api, allow_tcp, allow_insecure;
        uint64_t lease_usec;
        unsigned connections_per_address; /* of TCP */
        char *state_directory, *log_level;
} DiscoveryConfig;

struct Discovery {
        DiscoveryConfig *config; /* lent */

        Loop *loop;
        Db *db;
        Database database;
        ListenerSet listeners;
        HttpServer **servers;

        uint64_t seed; /* of the hashes */
        Slab slab;     /* of the leases */
        Index by_id, by_name, groups, labels;
        Group all;
        uint64_t revision;     /* the number of the last change */
        uint64_t groups_floor; /* the newest revision of a group that is forgotten */
        sd_id128_t epoch;      /* of this start: revisions never repeat */
        Heap expiry;
        Timer expiry_timer;
        uint64_t fresh_until; /* no lease ends before; CLOCK_BOOTTIME */
        uint64_t loaded;      /* when the registry was read: what was renewed until then nobody said */

        Gone *gone; /* a ring, the next one at n_gone % GONE_MAX */
        uint64_t n_gone;

        Group *cached; /* those with a list made, the one made last at the end */
        size_t cached_size;
        HttpAnswer *beats[2];  /* to a heartbeat; [1]: draining */
        sd_id128_t random[16]; /* for ids and tokens; the first n_random are unused */
        size_t n_random;
        uint64_t lease_told; /* that they tell, */
        char lease_text[24]; /* in seconds */

        Buffer unsaved, removed; /* ids of leases, rows of those that are gone */
        uint64_t last_row;
        bool saving;
        Timer save_timer;

        size_t n_waiters[2]; /* [1]: over Unix sockets */
        Heap deadlines;
        Timer deadline_timer;
};

/* Starts to listen. `config` must live as long as the Discovery. Negative errno with the reason; -EPERM
 * where AllowInsecure= is missing. */
int discovery_new(DiscoveryConfig *config, Discovery **ret, Error *error);
Discovery *discovery_free(Discovery *d);
DEFINE_CLEANUP(Discovery *, discovery_free)

/* Takes over what can change while it runs: the time of leases, and whether registrations over TCP are
 * taken. */
void discovery_reload(Discovery *d, const DiscoveryConfig *fresh);
