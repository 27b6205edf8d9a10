/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What senders announced as settled, on its way to the disk: one write per stream at a time, and what is
 * announced meanwhile goes with the next. A stream that is closed is forgotten when nothing of it is in
 * progress any more, and that is confirmed when it is synced. */

#include "receiver/conn.h"
#include "store/dedup.h"

typedef struct Settle Settle;

typedef struct Settles {
        Settle *by_stream; /* only those with something to write */
        bool full;         /* for another stream there is no room, and that was said */
} Settles;

void settles_clear(Receiver *r); /* after the database is closed */

/* A frame from `conn`; negative: it breaks the protocol. */
int settle(Receiver *r, uint64_t conn, const SettledFrame *f, Error *error);

/* The memory of streams is full: forgets one whose sender is not there, and that needs nothing remembered or
 * has been silent for long. False when there is none. */
bool settles_make_room(Receiver *r);

/* A job of the stream has ended. */
void settles_stream_idle(Receiver *r, sd_id128_t stream);
