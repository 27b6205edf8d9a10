/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which receiver gets a queued message: chosen by its selector. The message stays bound to it for as long as
 * that receiver may have started it. */

#include "client/state/types.h"

/* The receiver for the next message of that queue right now, or NULL. */
Peer *bind_choose(Queue *q);
/* Binds in memory; the caller makes it durable, then says bind_done() and DELIVERY_BIND. 0, -EAGAIN (no room
 * in its window), -ENOMEM. */
int bind_message(Message *m, Peer *p);
/* At start: it is bound on disk. `w` holds its sequence; NULL for plain text. 0 or -ENOMEM. */
int bind_load(Message *m, Peer *p, SendWindow *w);
void bind_done(Message *m); /* the binding is on disk */

/* The delivery has ended: its receiver has nothing to do with it any more. The sequence stays taken. */
void bind_end(Message *m);
void bind_settle(Message *m); /* its end is on disk, or it was never accepted: the sequence is settled */
void bind_drop(Message *m);   /* back to the queue; the sequence is settled when that is saved */

void bind_queue(Queue *q); /* binds what can be bound, and saves it */
/* Connects to everybody who may get a message of that queue for anybody: the load is shared from then on. */
void bind_connect(Queue *q);
void bind_for_peer(Peer *p); /* binds to it what waits for it or for anybody */
