/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A message to several receivers: the whole (member 0), which people see, and a delivery for each member,
 * which is driven as any other. The membership is fixed at acceptance. The whole follows from its members:
 * after a crash they are counted again. It stays in memory while it is gathering. */

#include "client/state/message.h"

struct Whole {
        Message *message;
        unsigned need; /* acks */
        unsigned n_members, n_acked, n_failed;
        bool reading;       /* its members are on their way from the disk */
        bool held;          /* pinned: it is open */
        Whole *prev, *next; /* of those that take in who joins */
};

int whole_new(Message *m); /* by its selector */
void whole_free(Whole *w);

/* At acceptance: records of the members that the selector of `m` means. -ENOENT with a sentence when there
 * are too few, or nobody can say who is there. */
int whole_choose(Message *m, OutboxRecord **ret, size_t *ret_n, Error *error);
/* The same are on disk. Takes what the records hold. */
void whole_begin(Message *m, OutboxRecord *records, size_t n);
/* At start. */
void whole_load(Message *m, unsigned n_acked, unsigned n_failed, unsigned n_members);

void wholes_read_again(Client *c); /* where members could not be read */
void wholes_clear(Client *c);

void wholes_recount(Client *c); /* then, when all is loaded: a crash may have come between a member's end and
                                   its whole's */

void whole_start(Message *m);                                     /* a delayed one: its time has come */
void whole_end(Message *m, DeliveryEvent event, const char *why); /* cancelled, or given up */
int whole_revive(
                Message *m); /* members that did not ack are tried again; 0, or -EBUSY while they are read */

void whole_settled(Message *m);         /* the end of a member, or of a whole, is on disk */
void wholes_joined(Client *c, Peer *p); /* a receiver is new */
