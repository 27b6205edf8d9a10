/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Finds things of one stream by their sequence. A thing embeds a SequenceEntry; the index does not own it.
 * Embed the index by value; sequence_index_init() first. */

#include "base/hash-index.h"
#include "model/sequence-set.h"

typedef struct SequenceEntry {
        uint64_t sequence;
        IndexItem item;
} SequenceEntry;

typedef struct SequenceIndex {
        Index entries;
        uint64_t seed; /* random: others choose the sequences */
} SequenceIndex;

void sequence_index_init(SequenceIndex *x, uint64_t seed);
void sequence_index_clear(SequenceIndex *x); /* frees the index's own memory */
size_t sequence_index_count(const SequenceIndex *x);

SequenceEntry *sequence_index_find(const SequenceIndex *x, uint64_t sequence); /* NULL: not there */
/* 0 or -ENOMEM. The sequence must not be in the index. */
int sequence_index_add(SequenceIndex *x, SequenceEntry *e, uint64_t sequence) _must_use_;
void sequence_index_remove(SequenceIndex *x, SequenceEntry *e);

/* Every entry, one per call, in no order; then NULL. The cursor begins as {}. The caller may remove the
 * entry that it got, no other one, and may add none. */
typedef IndexCursor SequenceCursor;
SequenceEntry *sequence_index_each(const SequenceIndex *x, SequenceCursor *cursor);

/* Every entry whose sequence is settled, likewise. Those below `from` must be gone already. */
typedef struct SettledCursor {
        const SequenceIndex *index;
        const SequenceSet *settled;
        bool by_sequence; /* looks up each settled sequence; else walks over all entries */
        uint64_t from;
        IndexCursor all;
} SettledCursor;
SettledCursor settled_cursor(const SequenceIndex *x, const SequenceSet *settled, uint64_t from);
SequenceEntry *settled_cursor_next(SettledCursor *c);
