/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A message to several receivers: the whole (member 0), which people see, and a delivery for each member,
 * which is driven as any other. The membership is fixed at acceptance. The whole follows from its members:
 * after a crash they are counted again. It stays in memory while it is gathering. */

#include "client/state/message.h"

int fanout_new(Message *m); /* by its selector */
void fanout_free(Fanout *w);

/* At acceptance: records of the members that the selector of `m` means. -ENOENT with a sentence when there
 * are too few, or nobody can say who is there. */
int fanout_choose(Message *m, OutboxRecord **ret, size_t *ret_n, Error *error);
/* The same are on disk. Takes what the records hold. */
void fanout_begin(Message *m, OutboxRecord *records, size_t n);
/* At start. */
void fanout_load(Message *m, unsigned n_acked, unsigned n_failed, unsigned n_members);

void fanouts_read_again(Client *c); /* where members could not be read */
void fanouts_clear(Client *c);

void fanouts_recount(Client *c); /* then, when all is loaded: a crash may have come between a member's end
                                   and its whole's */

void fanout_start(Message *m);                                     /* a delayed one: its time has come */
void fanout_end(Message *m, DeliveryEvent event, const char *why); /* cancelled, or given up */
int fanout_revive(
                Message *m); /* members that did not ack are tried again; 0, or -EBUSY while they are read */

void fanout_ended(Message *m);           /* the end of a member, or of a whole, is on disk */
void fanouts_joined(Client *c, Peer *p); /* a receiver is new */
