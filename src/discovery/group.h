/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The leases of a group in the order of their last change, and the revision of the group: the number of the
 * last change in it. All leases together are a group too, the one without a name. */

#include <utlist.h>

#include "discovery/lease.h"

typedef struct HttpAnswer HttpAnswer;
typedef struct LongPoll LongPoll;

/* The first page of a group's list as finished answers. Written by list: see there. */
typedef struct CachedList {
        HttpAnswer *plain, *gzip, *unchanged;
        size_t limit, size;
        Group *prev, *next; /* groups that have a cached list */
} CachedList;

struct Group {
        uint64_t revision;
        size_t n_leases;
        Lease *first;         /* the one unchanged for the longest time */
        LongPoll *long_polls; /* written by long-poll */
        CachedList list;      /* written by list; empty while the group has no lease, "all" excepted */
        IndexItem item;
        char name[NAME_MAX_LENGTH + 1]; /* "": all */
};

typedef struct Groups {
        uint64_t hash_seed;
        Index by_name;
        Group all;
        uint64_t revision;           /* the number of the last change */
        uint64_t forgotten_revision; /* the newest revision of a group that was freed */
        char epoch[13];              /* of this start, in hexadecimal: revisions never repeat */
        /* Called for every group whose list has changed, "all" included. */
        void (*changed)(Group *g, void *userdata);
        void *userdata;
} Groups;

/* `epoch`: random, another one for each start. */
void groups_init(Groups *gs, uint64_t hash_seed, sd_id128_t epoch, void (*changed)(Group *g, void *userdata),
                void *userdata);
void groups_clear(Groups *gs); /* all other groups must be gone */

uint32_t group_hash(const Groups *gs, const char *name); /* as in Group.item.hash */

/* The name NULL means the group "all". */
Group *group_find(Groups *gs, const char *name); /* NULL: it has no lease and no long poll */
Group *group_get(Groups *gs, const char *name);  /* finds or makes it; NULL: out of memory, or no name */
void group_release(Groups *gs, Group *g); /* frees it when it has no lease and no long poll; not "all" */

static inline bool group_is_all(const Group *g)
{
        return g->name[0] == '\0';
}

/* The lease that changed next after `l` (NULL: `l` is the newest), and the one that changed last before it
 * (`l` NULL: the newest of all). */
Lease *group_next(const Group *g, const Lease *l);
Lease *group_before(const Group *g, const Lease *l);

/* Links the lease into its group and into "all", as the newest; unlinks it from both. Neither calls
 * `changed`. */
void groups_link(Groups *gs, Lease *l);
void groups_unlink(Groups *gs, Lease *l);

/* Numbers the next change. Then each group that it concerns is touched: it gets the number as its revision,
 * and `changed` is called. */
uint64_t groups_next_revision(Groups *gs);
void group_touch(Groups *gs, Group *g);
/* Numbers a change and touches the group of the lease and "all". For a lease that was linked just now. */
void groups_announce(Groups *gs, Lease *l);

#define REVISION_MAX 64
/* The revision as clients see it. The group NULL means a group that has no lease and no long poll. A
 * revision never repeats, not even after a restart. */
const char *group_revision(const Groups *gs, const Group *g, char buffer[static REVISION_MAX]);
/* The number in a revision of this start of discovery; -EINVAL for any other text. */
int revision_parse(const Groups *gs, const char *text, uint64_t *ret);
