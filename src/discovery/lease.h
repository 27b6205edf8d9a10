/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One registered receiver in as little memory as a million of them allow: its texts behind it as they are
 * sent, what many have in common (group, labels) once for all. */

#include <systemd/sd-id128.h>

#include "base/buffer.h"
#include "base/hash-index.h"
#include "base/heap.h"
#include "base/slab.h"
#include "model/receiver-info.h"

typedef struct Group Group;
typedef struct Lease Lease;

/* A text that many leases share. */
typedef struct Shared {
        IndexItem item;
        uint32_t users;
        char text[];
} Shared;

/* What a heartbeat touches stands first, in a line or two of the processor's cache. */
struct Lease {
        IndexItem id_item;
        sd_id128_t id, token; /* token: null for one of the seed API */
        uint64_t renewed;     /* CLOCK_BOOTTIME */
        HeapItem expiry;      /* when to look at it: heartbeats do not move it */
        uint32_t lease_ms;    /* granted at the last renewal */
        bool plain, draining;
        bool unsaved;           /* the registry has not been told */
        uint8_t addresses_from; /* in texts */
        IndexItem name_item;
        sd_id128_t instance;
        uint64_t revision;              /* of its last change */
        uint64_t row;                   /* in the registry */
        Lease *prev, *next;             /* in the order of their last change */
        Lease *group_prev, *group_next; /* the same within the group */
        Group *group;
        Shared *labels; /* {"zone":"a"} */
        uint32_t capacity;
        char texts[]; /* the name, and behind its end ["unix:/run/x.sock"] */
};

/* Everything but group and labels, which are the caller's to set, and nothing linked. NULL: out of memory.
 */
Lease *lease_new(Slab *slab, const ReceiverInfo *info);
void lease_free(Slab *slab, Lease *l);

const char *lease_addresses(const Lease *l);
uint64_t lease_due(const Lease *l); /* CLOCK_BOOTTIME */

/* True when clients see no difference. */
bool lease_equal(const Lease *a, const Lease *b);
bool lease_has_labels(const Lease *l, const Label *selectors, size_t n);

/* Its record in JSON, open at the end: the caller may add fields before it writes the "}". 0 or -ENOMEM. */
int lease_print(const Lease *l, Buffer *out) _must_use_;
