/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the receiver knows of messages, in memory: of each (stream, sequence) that is not settled, whether it
 * is being worked on or which outcome is on disk. It decides what a MESSAGE frame means; it does no I/O.
 * store/dedup is its durable half: an outcome is entered here only when it is synced there.
 *
 * Bounded: at most STREAM_WINDOW entries above a stream's low mark, at most RECEIVER_STREAMS_MAX streams. */

#include "store/dedup.h"

typedef struct DedupIndex DedupIndex;
typedef struct DedupEntry DedupEntry;

typedef enum DedupVerdict {
        DEDUP_RUN,           /* new, or a higher attempt of a failed one: may be queued */
        DEDUP_IN_PROGRESS,   /* queued or running: answer working */
        DEDUP_RECORDED,      /* answer what is recorded */
        DEDUP_SETTLED,       /* the sender itself said so: answer settled */
        DEDUP_CONFLICT,      /* the entry is of another message */
        DEDUP_OUT_OF_WINDOW, /* further above the low mark than was granted: the peer breaks the protocol */
        DEDUP_TOO_MANY,      /* no room for another stream: answer busy */
} DedupVerdict;

/* Silence of streams counts from `now` on; any clock, the same everywhere. */
int dedup_index_new(size_t max_streams, uint64_t now, DedupIndex **ret);
DedupIndex *dedup_index_free(DedupIndex *d);
DEFINE_CLEANUP(DedupIndex *, dedup_index_free)

/* Takes over what is on disk; before anything else. */
int dedup_index_load(DedupIndex *d, Db *db);

/* *ret_record (may be NULL) is set for DEDUP_RECORDED. Changes nothing. */
DedupVerdict dedup_index_judge(const DedupIndex *d, sd_id128_t stream, uint64_t sequence, sd_id128_t message,
                uint32_t attempt, DedupRecord *ret_record);

/* For a message that was judged DEDUP_RUN: from here on it is in progress, by `work`. 0 or -ENOMEM. The
 * entry stays valid until dedup_index_finish() or dedup_index_abandon(). */
int dedup_index_begin(DedupIndex *d, sd_id128_t stream, uint64_t sequence, sd_id128_t message,
                uint32_t attempt, void *work, DedupEntry **ret);

/* The work of what was judged DEDUP_IN_PROGRESS. */
void *dedup_index_work(const DedupIndex *d, sd_id128_t stream, uint64_t sequence);

/* A retry of what is in progress asks for a later attempt: what comes of the run is that attempt's outcome.
 */
void dedup_index_raise(DedupEntry *e, uint32_t attempt);

void dedup_index_finish(DedupIndex *d, DedupEntry *e, Outcome outcome); /* the outcome is synced */
/* Not started after all, or its outcome could not be written: as before begin. */
void dedup_index_abandon(DedupIndex *d, DedupEntry *e);

/* Merges what a sender settled and drops those entries. What is in progress is kept until it ends. *ret_set
 * is lent until the next call. 0, -ENOMEM, -ENOSPC when there is no room for another stream, or -EPROTO when
 * there are more gaps between what is settled than may be open. */
int dedup_index_settle(
                DedupIndex *d, const SequenceSet *settled, sd_id128_t stream, const SequenceSet **ret_set);

/* -EBUSY while something of the stream is in progress; 0 also when nothing is known of it. */
int dedup_index_forget(DedupIndex *d, sd_id128_t stream);

/* Who spoke of a stream last, and when. */
void dedup_index_used(DedupIndex *d, sd_id128_t stream, uint64_t conn, uint64_t now);

/* Makes room for another stream: forgets the oldest of which there is nothing but what is settled, and that
 * is not `in_use`. Its sender says what is settled before it sends, should it come back, so nothing is
 * forgotten that could be needed. Where there is none, the one that has been silent longest, for
 * STREAM_SILENT_USEC at least: what its sender repeats then runs again. How many outcomes were forgotten
 * with it, or -ENOENT: there is none. *ret is to be forgotten on disk, too. */
typedef bool (*DedupInUse)(sd_id128_t stream, uint64_t conn, void *userdata);
int dedup_index_evict(DedupIndex *d, uint64_t now, DedupInUse in_use, void *userdata, sd_id128_t *ret);

bool dedup_index_is_full(const DedupIndex *d); /* of streams */
size_t dedup_index_entries(const DedupIndex *d);
