/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages that have no receiver yet, one queue for each selector: the more urgent ones first, and in order
 * of acceptance. The front of a queue is in memory, the rest on disk only; it is read in pages as the front
 * moves on. */

#include "client/state/types.h"

/* Finds it or makes it. Those that nobody uses go when there are many and another one is made. */
int queue_get(Client *c, const char *text, Queue **ret);

Queue *queue_of_receiver(Client *c, sd_id128_t receiver); /* or NULL */

void queue_add(Queue *q, Message *m);       /* accepted just now, without a receiver */
void queue_give_back(Queue *q, Message *m); /* its receiver would not have it: to its old place */
void queue_take(Queue *q, Message *m);      /* it is bound or settled; wherever in the queue it is */
void queue_read_on(Queue *q);               /* fetches the next page when the front has become short */

void queues_read_again(Client *c); /* where it failed */

void queues_clear(Client *c);
