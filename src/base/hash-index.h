/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A hash table of things that embed an IndexItem (16 bytes), plus about one pointer each. It grows by one
 * bucket at a time (linear hashing), so no insertion has to move a million items. The index does not own its
 * items. Hash keys that peers choose with index_hash() and a secret seed. */

#include <stddef.h>
#include <stdint.h>

#include "base/macro.h"

typedef struct IndexItem IndexItem;
struct IndexItem {
        IndexItem *next;
        uint32_t hash;
};

typedef struct Index {
        IndexItem **buckets;
        size_t allocated, n_buckets; /* n_buckets: in use */
        size_t n_items;
} Index;

void index_clear(Index *x); /* frees the index's own memory, and forgets the items */

uint32_t index_hash(uint64_t seed, const void *key, size_t size);

/* 0 or -ENOMEM; right after an index_remove() always 0. The index must not hold an item with this key. */
int index_add(Index *x, IndexItem *item, uint32_t hash) _must_use_;
void index_remove(Index *x, IndexItem *item); /* the item must be in the index */

/* The first item with that hash, and the next one with the same hash; NULL: no more. The caller compares the
 * keys. */
IndexItem *index_first(const Index *x, uint32_t hash);
IndexItem *index_next(const IndexItem *item);

/* Returns all items, one per call and in no order, then NULL. The cursor starts as {}. Between two calls
 * only the item that was returned last may be removed, and none may be added. */
typedef struct IndexCursor {
        IndexItem *next;
        size_t bucket; /* the one after the bucket of `next` */
} IndexCursor;
IndexItem *index_each(const Index *x, IndexCursor *cursor);
