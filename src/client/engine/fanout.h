/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A message to several receivers: the whole (member 0), which people see, and a delivery for each member,
 * which is driven as any other. The members are fixed at acceptance, except where the sender wants those who
 * join too. The whole follows from its members: after a crash they are counted again. While it is open it
 * stays in memory.
 *
 * Here are also the entries for what people want of a message, to one receiver or to several. */

#include "client/state/types.h"

int message_cancel(Message *m); /* 0 (ClientObserver.message_saved follows), or -EALREADY when it is final */
void message_give_up(Message *m, const char *why); /* to the dead letters, if nothing runs */
void message_start(Message *m);                    /* a delayed one: its time has come */
/* A dead letter is tried again: 0, -EALREADY when it is none, -EBUSY while its end is being written or its
 * members are read, -ENOENT when it is being purged, -ENOMEM. */
int message_revive(Message *m);

/* At acceptance: the members are on disk. Takes what the records hold. */
void fanout_begin(Message *m, OutboxRecord *records, size_t n);
/* At start, for each; then, when all is loaded, once: a crash may have come between the end of a member and
 * the one of its whole. */
void fanout_load(Message *m, unsigned n_acked, unsigned n_failed, unsigned n_members);
void fanouts_recount(Client *c);

void fanout_ended(Message *m);           /* the end of a member, or of a whole, is on disk */
void fanouts_joined(Client *c, Peer *p); /* a receiver is new */
