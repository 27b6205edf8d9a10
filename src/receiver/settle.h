/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writes to disk what senders announce as settled. One write per stream at a time; the next one takes
 * everything that is announced meanwhile. When a sender closes a stream, the stream is forgotten as soon as
 * none of its messages is in progress. PRUNED confirms this after the sync. What the disk refuses is tried
 * again: the sender has said it once and for all. */

#include "receiver/conn.h"
#include "receiver/dedup.h"

typedef struct Settle Settle;

typedef struct Settles {
        /* Set by the root before settles_init(). */
        Loop *loop;
        Db *db;
        DedupIndex *index;
        Conns *conns;
        const Condition *condition;

        Timer again;
        Settle *by_stream; /* only streams with something to write */
        bool full;         /* there is no room for another stream, and that was logged */
} Settles;

int settles_init(Settles *s);
void settles_clear(Settles *s); /* after the database is closed */

/* A frame from a sender. Negative: it breaks the protocol. */
int settle_announced(Settles *s, const Sender *sender, const SettledFrame *f, Error *error);

/* The index of streams is full. Forgets a stream whose sender is not connected, and of which everything is
 * settled or that has been silent for long. False when there is none. */
bool settles_make_room(Settles *s);

/* A job of the stream has ended: it may be time to forget a closed stream. `wanted`: false if a record of it
 * was written after its sender had settled it; that record goes too. */
void settles_job_ended(Settles *s, sd_id128_t stream, bool wanted);
