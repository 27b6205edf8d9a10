/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/sequence-set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void sequence_set_init(SequenceSet *s)
{
        *s = (SequenceSet){.low = 1};
}

void sequence_set_clear(SequenceSet *s)
{
        free(s->ranges);
        sequence_set_init(s);
}

/* Index of the first range that ends at or after `sequence`. */
static size_t find(const SequenceSet *s, uint64_t sequence)
{
        size_t from = 0, to = s->n_ranges;

        while (from < to) {
                size_t middle = (from + to) / 2;
                if (s->ranges[middle].last < sequence)
                        from = middle + 1;
                else
                        to = middle;
        }
        return from;
}

bool sequence_set_contains(const SequenceSet *s, uint64_t sequence)
{
        if (sequence < s->low)
                return true;
        size_t i = find(s, sequence);
        return i < s->n_ranges && s->ranges[i].first <= sequence;
}

uint64_t sequence_set_count(const SequenceSet *s, uint64_t from)
{
        uint64_t n = s->low > from ? s->low - from : 0;

        /* The ranges are disjoint, so the sum is at most the last sequence. */
        for (size_t i = find(s, from); i < s->n_ranges; i++)
                n += s->ranges[i].last - MAX(s->ranges[i].first, from) + 1;
        return n;
}

uint64_t sequence_set_first(const SequenceSet *s, uint64_t from)
{
        if (from < s->low)
                return from;
        size_t i = find(s, from);
        return i < s->n_ranges ? MAX(s->ranges[i].first, from) : UINT64_MAX;
}

static void replace(SequenceSet *s, size_t from, size_t to, const SequenceRange *by, size_t n)
{
        memmove(s->ranges + from + n, s->ranges + to, (s->n_ranges - to) * sizeof *s->ranges);
        if (n > 0)
                memcpy(s->ranges + from, by, n * sizeof *by);
        s->n_ranges = s->n_ranges - (to - from) + n;
}

int sequence_set_add(SequenceSet *s, uint64_t first, uint64_t last)
{
        if (first > last)
                return -EINVAL;
        if (last < s->low)
                return 0;

        if (s->n_ranges == s->allocated) {
                size_t want = s->allocated ? s->allocated * 2 : 8;
                SequenceRange *grown = reallocarray(s->ranges, want, sizeof *grown);
                if (!grown)
                        return -ENOMEM;
                s->ranges = grown;
                s->allocated = want;
        }

        /* Merges every range that touches or overlaps the new one. */
        size_t from = find(s, first > 0 ? first - 1 : 0), to = from;
        SequenceRange merged = {first, last};
        while (to < s->n_ranges && (last == UINT64_MAX || s->ranges[to].first <= last + 1)) {
                merged.first = MIN(merged.first, s->ranges[to].first);
                merged.last = MAX(merged.last, s->ranges[to].last);
                to++;
        }

        if (merged.first <= s->low) {
                s->low = merged.last == UINT64_MAX ? UINT64_MAX : merged.last + 1;
                replace(s, from, to, NULL, 0);
        } else
                replace(s, from, to, &merged, 1);
        return 0;
}

int sequence_set_add_below(SequenceSet *s, uint64_t low)
{
        return low <= s->low ? 0 : sequence_set_add(s, 0, low - 1);
}
