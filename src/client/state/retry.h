/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the disk refused (it is full, it fails) is tried again after a second; nothing is forgotten. */

#include "runtime/timer.h"

typedef struct RetryItem RetryItem;

/* Embed it by value, zero-initialised. */
struct RetryItem {
        void (*again)(RetryItem *i); /* NULL: it is not in the list */
        RetryItem *prev, *next;
};

typedef struct Retries {
        RetryItem *items;
        unsigned n_items;
        Timer timer;
} Retries;

int retries_init(Retries *r, Loop *loop);
void retries_clear(Retries *r);

/* Calls `again` once, from the loop, with the item out of the list. Nothing when it is in the list. */
void retry_soon(Retries *r, RetryItem *i, void (*again)(RetryItem *i));
void retry_cancel(Retries *r, RetryItem *i); /* nothing when it is not in the list */

static inline bool retry_is_waiting(const RetryItem *i)
{
        return i->again;
}
