/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Repeats after one second what failed: operations of the disk (it is full, it has errors), and what found
 * no memory. No operation is lost.
 */

#include "runtime/timer.h"

typedef struct RetryItem RetryItem;

/* Embed it by value, zero-initialised. */
struct RetryItem {
        void (*again)(RetryItem *i); /* NULL: it is not in the list */
        void (*drop)(RetryItem *i);  /* frees what only the list knows; NULL: nothing */
        RetryItem *prev, *next;
};

typedef struct Retries {
        RetryItem *items;
        unsigned n_items;
        Timer timer;
} Retries;

int retries_init(Retries *r, Loop *loop);
void retries_drop(Retries *r); /* at the end: nothing of what waits is repeated */
void retries_clear(Retries *r);

/* Adds the item to the list. Later the loop removes it and calls `again` once. Does nothing if the item is
 * in the list. */
void retry_soon(Retries *r, RetryItem *i, void (*again)(RetryItem *i));
void retry_cancel(Retries *r, RetryItem *i); /* does nothing if it is not in the list */

static inline bool retry_is_waiting(const RetryItem *i)
{
        return i->again;
}
