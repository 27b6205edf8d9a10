/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Binds queued messages to receivers. The selector of a message decides which receivers may get it. A
 * message stays bound as long as its receiver may have started it. */

#include "client/state/types.h"

/* Returns the receiver that can take the next message of the queue now, or NULL. */
Peer *bind_choose(Queue *q);
/* Binds in memory. The caller then saves the binding; after that it calls bind_done() and applies
 * DELIVERY_BIND. Returns 0, -EAGAIN (no room in the receiver's window) or -ENOMEM. */
int bind_message(Message *m, Peer *p);
/* At start: the message is bound on disk. `w` holds its sequence; NULL for plain text. Returns 0 or -ENOMEM.
 */
int bind_load(Message *m, Peer *p, SendWindow *w);
void bind_done(Message *m); /* the binding is on disk */

/* The delivery is final: unbinds the message from its receiver. Its sequence stays open. */
void bind_end(Message *m);
void bind_settle(Message *m);      /* its end is on disk, or it was never accepted: settles the sequence */
void bind_settle_late(Message *m); /* the caller will, by window_settle_late() */
void bind_refused(Message *m);     /* its receiver has no place for it now */
void bind_drop(Message *m); /* back to the queue; the sequence is settled when the change is on disk */

/* Binds as many messages as possible, and saves them. A receiver that has room may get more urgent messages
 * of other queues first. */
void bind_queue(Queue *q);
/* Connects to every receiver that may get the messages of the queue, so that all share the load. */
void bind_connect(Queue *q);
/* Binds messages beyond the credit that are more urgent than the next one that is bound to this receiver, if
 * there is a place; they will be written first. */
void bind_press(Peer *p);
void bind_for_peer(Peer *p);       /* binds waiting messages to this receiver */
void bind_keys_elsewhere(Peer *p); /* it may not be chosen any more: keys that wait for it go to others */
