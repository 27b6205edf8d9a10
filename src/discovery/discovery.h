/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The root of discovery: owns the parts and connects them. From the highest to the lowest:
 *   api         the routes, /v1                 seed        the seed API
 *   long-poll   requests that wait              list        lists as answers, cached
 *   list-page   a list as JSON                  list-query  what a client asks for
 *   leases      adds, renews and ends leases    save        writes the registry
 *   group       order of changes, revisions     tombstone   receivers that left
 *   lease-index finds leases                    lease       one receiver
 * A part calls only parts below it. The one call upward is Groups.changed: the root passes it on to the list
 * and to the long polls of that group. */

#include "daemon/database.h"
#include "discovery/api.h"
#include "runtime/listen.h"
#include "runtime/service.h"

typedef struct Discovery {
        DiscoveryConfig *config; /* lent */
        Loop *loop;
        Service service;
        char *path; /* of the registry */
        Db *db;
        Database database;
        ListenerSet listeners;
        HttpServer **servers; /* one for each listener */

        Groups groups;
        Leases leases;
        Save save;
        Lists lists;
        LongPolls long_polls;
        Api api;
} Discovery;

/* Starts to listen. `config` must live as long as the Discovery. Negative errno with the reason; -EPERM
 * where AllowInsecure= is missing. */
int discovery_new(DiscoveryConfig *config, Discovery **ret, Error *error);
Discovery *discovery_free(Discovery *d);
DEFINE_CLEANUP(Discovery *, discovery_free)

/* Takes over what can change while it runs: the time of leases, and whether registrations over TCP are
 * allowed. */
void discovery_reload(Discovery *d, const DiscoveryConfig *fresh);
