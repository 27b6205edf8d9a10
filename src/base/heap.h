/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A binary min-heap, ordered by the time at which things are due. A thing embeds a HeapItem, so it can be
 * moved or removed in O(log n) without a search. The heap does not own its items. */

#include "base/macro.h"

#define HEAP_NOT_IN SIZE_MAX

typedef struct HeapItem {
        uint64_t due;
        size_t position; /* HEAP_NOT_IN while not in a heap */
} HeapItem;

typedef struct Heap {
        HeapItem **items;
        size_t n_items;
        size_t allocated;
} Heap;

void heap_clear(Heap *h); /* frees the heap's own memory; the items are marked as not in it */
void heap_item_init(HeapItem *item);

/* Makes room for `n` items, so that no heap_put() fails. 0 or -ENOMEM. */
int heap_reserve(Heap *h, size_t n) _must_use_;

/* Inserts the item, or moves it when it is in the heap already. 0 or -ENOMEM (never for a move). */
int heap_put(Heap *h, HeapItem *item, uint64_t due) _must_use_;
void heap_remove(Heap *h, HeapItem *item); /* no-op when it is not in the heap */
HeapItem *heap_first(const Heap *h);       /* the one due first, or NULL */
