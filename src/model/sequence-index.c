/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/sequence-index.h"

#define NEIGHBOURS 8u /* buckets of one cache line */

/* Sequences that follow each other are used one after the other, so they share the lines of the table. A
 * peer that chooses its sequences can make look-ups NEIGHBOURS times as long, and no longer. */
static uint32_t hash(const SequenceIndex *x, uint64_t sequence)
{
        const uint64_t line = sequence / NEIGHBOURS;

        return index_hash(x->seed, &line, sizeof line) / NEIGHBOURS * NEIGHBOURS +
               (uint32_t) (sequence % NEIGHBOURS);
}

static SequenceEntry *entry_of(IndexItem *i)
{
        return i ? CONTAINER_OF(i, SequenceEntry, item) : NULL;
}

void sequence_index_init(SequenceIndex *x, uint64_t seed)
{
        *x = (SequenceIndex){.seed = seed};
}

void sequence_index_clear(SequenceIndex *x)
{
        index_clear(&x->entries);
}

size_t sequence_index_count(const SequenceIndex *x)
{
        return x->entries.n_items;
}

SequenceEntry *sequence_index_find(const SequenceIndex *x, uint64_t sequence)
{
        IndexItem *i = index_first(&x->entries, hash(x, sequence));

        while (i && entry_of(i)->sequence != sequence)
                i = index_next(i);
        return entry_of(i);
}

int sequence_index_add(SequenceIndex *x, SequenceEntry *e, uint64_t sequence)
{
        e->sequence = sequence;
        return index_add(&x->entries, &e->item, hash(x, sequence));
}

void sequence_index_remove(SequenceIndex *x, SequenceEntry *e)
{
        index_remove(&x->entries, &e->item);
}

SequenceEntry *sequence_index_each(const SequenceIndex *x, SequenceCursor *cursor)
{
        return entry_of(index_each(&x->entries, cursor));
}

SettledCursor settled_cursor(const SequenceIndex *x, const SequenceSet *settled, uint64_t from)
{
        return (SettledCursor){
                        .index = x,
                        .settled = settled,
                        .from = from,
                        /* The shorter way. */
                        .by_sequence = sequence_set_count(settled, from) < x->entries.n_buckets,
        };
}

SequenceEntry *settled_cursor_next(SettledCursor *c)
{
        SequenceEntry *e;

        if (!c->by_sequence) {
                do
                        e = sequence_index_each(c->index, &c->all);
                while (e && !sequence_set_contains(c->settled, e->sequence));
                return e;
        }
        while ((c->from = sequence_set_first(c->settled, c->from)) < UINT64_MAX) {
                e = sequence_index_find(c->index, c->from++);
                if (e)
                        return e;
        }
        return NULL;
}
