/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which receiver gets a message that waits: chosen by its selector, then bound to it for as long as that one
 * may have started it. */

#include "client/link/peers.h"

/* Binds in memory; the caller makes it durable, then says DELIVERY_BIND. -EAGAIN: no room in its window. */
int bind_message(Message *m, Peer *p);
/* The receiver for the next message of that queue right now, or NULL. */
Peer *bind_choose(Queue *q);

void bind_queue(Queue *q); /* binds what can be bound */
/* Connects to everybody who may get a message of that queue for anybody: the load is shared from then on. */
void bind_connect(Queue *q);
void bind_for_peer(Peer *p); /* binds to it what waits for it or for anybody */
