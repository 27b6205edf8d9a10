/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One registered receiver, small enough that a million of them fit in memory: its own texts follow the
 * structure, in the form in which they are sent; group and labels are shared with other leases. */

#include <systemd/sd-id128.h>

#include "base/buffer.h"
#include "base/hash-index.h"
#include "base/heap.h"
#include "base/slab.h"
#include "discovery/interned-text.h"
#include "model/receiver-info.h"

typedef struct Group Group;
typedef struct Lease Lease;

/* The fields that a heartbeat touches come first: they share one or two cache lines. Written by lease and
 * leases. A comment behind a field may name another. */
struct Lease {
        IndexItem id_item;
        sd_id128_t id, token; /* token: null for a receiver of the seed API */
        uint64_t renewed;     /* CLOCK_BOOTTIME */
        HeapItem expiry;      /* when to look whether it ended: a heartbeat does not move it */
        uint32_t lease_ms;    /* granted at the last renewal */
        bool plain, draining;
        bool unsaved;           /* waits to be written to the registry; written by save and leases */
        uint8_t addresses_from; /* where the addresses begin in texts */
        IndexItem name_item;
        sd_id128_t instance;
        uint64_t revision;              /* of its last change; written by group */
        uint64_t row;                   /* in the registry */
        Lease *prev, *next;             /* all leases in the order of their last change; written by group */
        Lease *group_prev, *group_next; /* the same within its group */
        Group *group;
        InternedText *labels; /* {"zone":"a"} */
        InternedText *host;   /* "host":{…}, or "" */
        uint32_t capacity;
        char texts[]; /* the name and its NUL, then ["unix:/run/x.sock"] */
};

/* A lease that is linked nowhere. The caller sets group and labels. NULL: out of memory. */
Lease *lease_new(Slab *slab, const ReceiverInfo *info);
void lease_free(Slab *slab, Lease *l);

static inline const char *lease_name(const Lease *l)
{
        return l->texts;
}
const char *lease_addresses(const Lease *l);
uint64_t lease_due(const Lease *l); /* CLOCK_BOOTTIME */

/* True when clients see no difference. */
bool lease_equal(const Lease *a, const Lease *b);
bool lease_has_labels(const Lease *l, const Label *selectors, size_t n);

/* Appends its record as JSON without the closing "}", so that the caller may add fields. 0 or -ENOMEM. */
int lease_print(const Lease *l, const char *group, Buffer *out) _must_use_;
