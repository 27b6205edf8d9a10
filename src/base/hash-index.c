/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/hash-index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BUCKETS_MIN 16u
#define LARGE_PAGE  ((size_t) 2 << 20)

void index_clear(Index *x)
{
        free(x->buckets);
        *x = (Index){};
}

static uint64_t mix(uint64_t h)
{
        h ^= h >> 32;
        h *= UINT64_C(0xd6e8feb86659fd93);
        h ^= h >> 32;
        h *= UINT64_C(0xd6e8feb86659fd93);
        return h ^ h >> 32;
}

uint32_t index_hash(uint64_t seed, const void *key, size_t size)
{
        const uint8_t *at = key;
        uint64_t h = seed ^ size, word;

        for (; size >= sizeof word; at += sizeof word, size -= sizeof word) {
                memcpy(&word, at, sizeof word);
                h = mix(h ^ word);
        }
        word = 0;
        if (size > 0)
                memcpy(&word, at, size);
        return (uint32_t) mix(h ^ word);
}

/* The largest power of two that is not above n. */
static size_t level(size_t n)
{
        return (size_t) 1 << (63 - __builtin_clzll(n));
}

/* Linear hashing: buckets come into use one by one. The items of a bucket that is not in use yet are in the
 * bucket that it will be split from. */
static size_t bucket_of(const Index *x, uint32_t hash)
{
        size_t low = level(x->n_buckets), i = hash & (2 * low - 1);

        return i < x->n_buckets ? i : i - low;
}

/* A large table is read at random, which is faster in large pages. */
static int reserve(Index *x, size_t want)
{
        size_t size = want * sizeof *x->buckets;
        IndexItem **grown = size >= LARGE_PAGE ? aligned_alloc(LARGE_PAGE, size) : malloc(size);

        if (!grown)
                return -ENOMEM;
        if (size >= LARGE_PAGE)
                (void) madvise(grown, size, MADV_HUGEPAGE);
        if (x->n_buckets > 0)
                memcpy(grown, x->buckets, x->n_buckets * sizeof *x->buckets);
        free(x->buckets);
        x->buckets = grown;
        x->allocated = want;
        return 0;
}

static int grow(Index *x)
{
        if (x->n_buckets == x->allocated &&
                        reserve(x, x->allocated > 0 ? x->allocated * 2 : BUCKETS_MIN) < 0)
                return -ENOMEM;
        if (x->n_buckets == 0) {
                memset(x->buckets, 0, BUCKETS_MIN * sizeof *x->buckets);
                x->n_buckets = BUCKETS_MIN;
                return 0;
        }

        size_t to = x->n_buckets, from = to - level(to);
        x->buckets[to] = NULL;
        x->n_buckets++;
        for (IndexItem **at = x->buckets + from, *item; (item = *at);) {
                if (bucket_of(x, item->hash) == from) {
                        at = &item->next;
                        continue;
                }
                *at = item->next;
                item->next = x->buckets[to];
                x->buckets[to] = item;
        }
        return 0;
}

int index_add(Index *x, IndexItem *item, uint32_t hash)
{
        /* Without memory for more buckets, those that exist get longer. */
        if (x->n_items >= x->n_buckets && grow(x) < 0 && x->n_buckets == 0)
                return -ENOMEM;

        size_t i = bucket_of(x, hash);
        *item = (IndexItem){.next = x->buckets[i], .hash = hash};
        x->buckets[i] = item;
        x->n_items++;
        return 0;
}

void index_remove(Index *x, IndexItem *item)
{
        IndexItem **at = x->buckets + bucket_of(x, item->hash);

        while (*at != item)
                at = &(*at)->next;
        *at = item->next;
        x->n_items--;
}

static IndexItem *skip(IndexItem *item, uint32_t hash)
{
        while (item && item->hash != hash)
                item = item->next;
        return item;
}

IndexItem *index_first(const Index *x, uint32_t hash)
{
        return x->n_buckets > 0 ? skip(x->buckets[bucket_of(x, hash)], hash) : NULL;
}

IndexItem *index_next(const IndexItem *item)
{
        return skip(item->next, item->hash);
}

IndexItem *index_each(const Index *x, IndexCursor *cursor)
{
        IndexItem *item = cursor->next;

        while (!item && cursor->bucket < x->n_buckets)
                item = x->buckets[cursor->bucket++];
        cursor->next = item ? item->next : NULL;
        return item;
}
