/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Queues by selector. engine/backlog puts messages into them. */

#include "client/state/types.h"

/* Finds or creates a queue. If there are many queues, creating one may free unused ones. Returns 0, -EINVAL
 * (not the text of a selector) or -ENOMEM. */
int queue_get(Client *c, const char *text, Queue **ret);
Queue *queue_of_receiver(
                Client *c, sd_id128_t receiver); /* of messages to this receiver alone; NULL: none */
/* Of messages to its name, if it has that now; NULL: none. */
Queue *queue_of_holder(const Peer *p);
bool queue_is_waiting(const Queue *q); /* it has messages without a receiver, on disk too */
/* A queue of mode key waits for room at this receiver, behind the others there; NULL: until a receiver
 * comes. */
void queue_wait_at(Queue *q, Peer *p);
void queue_wait_first(Queue *q, Peer *p); /* before the others there */
void queue_wait_no_more(Queue *q);
void queues_clear(Client *c);
