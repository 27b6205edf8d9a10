/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A group of receivers as lists and watches see it. All receivers together are one, too: the one without a
 * name. A revision is the number of the last change in it. */

#include <utlist.h>

#include "discovery/lease.h"
#include "http/http-server.h"

typedef struct Discovery Discovery;
typedef struct Waiter Waiter;

struct Group {
        uint64_t revision;
        size_t n_leases;
        Lease *first; /* the longest unchanged; linked by group_prev, for all by prev */
        Waiter *waiters;
        /* The first page of the list as it is, made when it was first asked for; see discovery-list. */
        struct {
                HttpAnswer *plain, *gzip, *unchanged;
                size_t limit, size;
        } list;
        Group *cached_prev, *cached_next;
        IndexItem item;
        char name[NAME_MAX_LENGTH + 1]; /* "": all */
};

const char *group_name(const Group *g);
static inline bool group_is_all(const Group *g)
{
        return g->name[0] == '\0';
}
/* The one changed after it (NULL: the newest); the one before it (the newest before the first). */
Lease *group_next(const Group *g, const Lease *l);
Lease *group_before(const Group *g, const Lease *l);

Group *group_find(Discovery *d, const char *name); /* NULL: nobody has asked for it or is in it */
Group *group_get(Discovery *d, const char *name);  /* finds or makes it; NULL: out of memory, no name */
void group_release(Discovery *d, Group *g);        /* frees it when nobody needs it */
void group_add(Discovery *d, Group *g, Lease *l);  /* as the newest */
void group_take(Discovery *d, Group *g, Lease *l); /* out of it */
void group_touch(Discovery *d, Group *g, uint64_t revision); /* its list is another; watchers are told */

/* Texts that leases share: finds or makes it, counted. NULL: out of memory. */
Shared *shared_get(Discovery *d, const char *text);
void shared_put(Discovery *d, Shared *s);

#define REVISION_MAX 64
/* Of a group that is not there (NULL) too. Never repeats, restarts included. */
const char *group_revision(const Discovery *d, const Group *g, char buffer[static REVISION_MAX]);
/* The number in a revision of this start of discovery; -EINVAL for any other text. */
int revision_parse(const Discovery *d, const char *text, uint64_t *ret);
