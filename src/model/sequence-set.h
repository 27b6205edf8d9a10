/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The settled sequences of one stream: everything below a low mark, plus disjoint ranges above it. Embed by
 * value; sequence_set_init() first. Its size depends only on the number of gaps. */

#include "base/macro.h"

typedef struct SequenceRange {
        uint64_t first, last; /* both settled, first <= last */
} SequenceRange;

typedef struct SequenceSet {
        uint64_t low;          /* everything < low is settled; sequences begin at 1 */
        SequenceRange *ranges; /* ascending, not touching each other nor `low` */
        size_t n_ranges;
        size_t allocated;
} SequenceSet;

void sequence_set_init(SequenceSet *s);  /* nothing is settled: low = 1 */
void sequence_set_clear(SequenceSet *s); /* frees; then as after init */

bool sequence_set_contains(const SequenceSet *s, uint64_t sequence);

/* Of the settled sequences from `from` (at least 1) on: their number, and the first one (UINT64_MAX: there
 * is none). */
uint64_t sequence_set_count(const SequenceSet *s, uint64_t from);
uint64_t sequence_set_first(const SequenceSet *s, uint64_t from);

/* 0, -ENOMEM (nothing changes), or -EINVAL: first > last. Adding what is there already is fine. */
int sequence_set_add(SequenceSet *s, uint64_t first, uint64_t last) _must_use_;
int sequence_set_add_below(SequenceSet *s, uint64_t low) _must_use_; /* settles everything < low */
