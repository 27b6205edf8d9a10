/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* All leases: what adds one, changes one, keeps one and ends one. */

#include "discovery/discovery.h"

int book_init(Discovery *d);
int book_load(Discovery *d); /* from the registry; each lease is fresh */
void book_clear(Discovery *d);

Lease *book_find(Discovery *d, sd_id128_t id);
Lease *book_find_name(Discovery *d, const char *name);
/* Replaces the lease of its id. *ret is the lease; 0, 1 when nothing has changed, -ENOMEM or -ENOSPC. */
int book_put(Discovery *d, const ReceiverInfo *info, sd_id128_t token, Lease **ret);
void book_remove(Discovery *d, Lease *l);
void book_drain(Discovery *d, Lease *l, bool drain);   /* clients shall send it nothing new */
uint64_t book_due(const Discovery *d, const Lease *l); /* when it ends without a heartbeat; CLOCK_BOOTTIME */
/* When its receiver itself spoke last; CLOCK_BOOTTIME, 0: not since our start. */
uint64_t book_heard(const Discovery *d, const Lease *l);
/* A heartbeat: costs the same however many there are. */
void book_renew(Discovery *d, Lease *l);
