/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The messages of a queue: its front is in memory, the rest on disk only. The rest is read in pages as the
 * front gets shorter, so a million queued messages need the memory of a thousand. */

#include "client/state/types.h"

void backlog_load(Queue *q, uint64_t n);      /* at start: so many are on disk */
void backlog_add(Queue *q, Message *m);       /* accepted just now, without a receiver */
void backlog_give_back(Queue *q, Message *m); /* it has no receiver any more: to its old place */
void backlog_take(Queue *q, Message *m); /* it gets a receiver or has ended; wherever in the queue it is */

/* Reads the next page when the front has become short and there is more on disk. `done` is called, from the
 * loop, when rows have come, and a second after the disk refused to read them. */
void backlog_read_on(Queue *q, void (*done)(Queue *q));
