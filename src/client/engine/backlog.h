/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The messages of a queue. The front of the queue is in memory, the rest is on disk only. As the front gets
 * shorter, the client reads the rest in pages. So a million queued messages need the memory of a thousand.
 */

#include "client/state/types.h"

void backlog_load(Queue *q, uint64_t n);      /* at start: `n` messages are on disk */
void backlog_add(Queue *q, Message *m);       /* a new message without a receiver */
void backlog_give_back(Queue *q, Message *m); /* it lost its receiver: back to its old place */
void backlog_take(Queue *q,
                Message *m); /* removes it from any place in the queue: it gets a receiver, or is final */

/* Reads the next page if the front is short and the disk has more. Calls `done` from the loop when the rows
 * are in memory. If the read fails, it calls `done` one second later. */
void backlog_read_on(Queue *q, void (*done)(Queue *q));
