/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages to several receivers. Such a message has a whole (member 0), which users see, and one delivery
 * for each member. engine/deliver drives a member like any other delivery. Acceptance fixes the members;
 * only with `follow` do later receivers become members too. The state of the whole follows from its members,
 * so the client counts them again after a crash. While the whole is open, it stays in memory.
 *
 * This header also has the requests about a message, to one receiver or to several. */

#include "client/state/types.h"

int message_cancel(Message *m); /* 0 (ClientObserver.message_saved follows), or -EALREADY if it is final */
void message_give_up(Message *m, const char *why); /* makes it a dead letter unless an attempt runs */
void message_start(Message *m);                    /* the start time of a delayed message has come */
/* Tries a dead letter again. Returns 0, -EALREADY (not a dead letter), -EBUSY (its end is not on disk yet,
 * or its members are being read), -ENOENT (it is being purged) or -ENOMEM. */
int message_revive(Message *m);

/* At acceptance: the members are on disk. Takes over the contents of the records. */
void fanout_begin(Message *m, OutboxRecord *records, size_t n);
/* At start: fanout_load() for each message, then fanouts_recount() once when all messages are loaded. The
 * recount is necessary because a crash may come between the end of a member and the end of its whole. */
void fanout_load(Message *m, unsigned n_acked, unsigned n_failed, unsigned n_members);
void fanouts_recount(Client *c);

/* Before a member is sent. False: the whole has ended, and this member, which nobody has begun, with it. So
 * none is sent while the client still reads from the disk which members to end. */
bool fanout_needs(Message *member);

void fanout_ended(Message *m);           /* the end of a member or of a whole is on disk */
void fanouts_joined(Client *c, Peer *p); /* discovery lists a new receiver */
