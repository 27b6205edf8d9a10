/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which sequences of one stream to one receiver are settled, and what of it the receiver has been told. The
 * newest stream of this start is open for new sequences; older ones only end what they have open and are
 * then closed. */

#include "client/client.h"
#include "model/sequence-set.h"

struct Ledger {
        Peer *peer;
        sd_id128_t stream;
        uint64_t next_sequence; /* 0: an older stream */
        SequenceSet settled;
        size_t n_open;
        unsigned unannounced; /* settled, and not yet told */
        bool keeping;         /* its row is on its way to the disk */
        bool kept;            /* on disk: the next start can close it */
        Ledger *prev, *next;
};

/* The one for new sequences; made, and kept, when it is missing, or the one before is held up. */
int ledger_current(Peer *p, Ledger **ret);
bool ledger_is_kept(Ledger *l);                   /* if not, then soon: bind_wanted() follows */
bool ledger_has_room(const Ledger *l);            /* in the window that the receiver grants */
uint64_t ledger_open(Ledger *l);                  /* the next sequence */
void ledger_settle(Ledger *l, uint64_t sequence); /* its settlement is synced, or it was never used */

/* At start: a stream that is known from disk, and what is still open in it; then, after all, finish. */
int ledger_load(Peer *p, sd_id128_t stream, Ledger **ret);
int ledger_load_open(Ledger *l, uint64_t sequence);
int ledgers_load_finish(Peer *p);

/* Writes SETTLED frames to the connection: for what is news, or for all (a new connection). */
void ledgers_announce(Peer *p, bool all);
void ledger_pruned(Peer *p, sd_id128_t stream); /* the receiver has forgotten it */
void ledgers_on_timer(void *userdata);          /* Client */
void ledgers_say_last(Client *c);               /* the process ends: what was not told yet */
void ledgers_clear(Peer *p);
