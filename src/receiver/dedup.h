/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the receiver knows of messages, in memory. For each (stream, sequence) that is not settled it says
 * whether the message is in progress or which outcome is on disk. It decides what a MESSAGE frame means; it
 * does no I/O. store/dedup is its durable half: an outcome is entered here when it is synced there.
 *
 * Bounded: at most STREAM_WINDOW entries above the low mark of a stream, at most RECEIVER_STREAMS_MAX
 * streams. */

#include "store/dedup.h"

typedef struct DedupIndex DedupIndex;
typedef struct DedupEntry DedupEntry;

typedef enum DedupVerdict {
        DEDUP_RUN,           /* new, or a higher attempt of a failed one: may be queued */
        DEDUP_IN_PROGRESS,   /* queued or running: answer working */
        DEDUP_RECORDED,      /* answer what is recorded */
        DEDUP_SETTLED,       /* its sender has announced so: answer settled */
        DEDUP_CONFLICT,      /* the entry belongs to another message */
        DEDUP_OUT_OF_WINDOW, /* further above the low mark than was granted: the peer breaks the protocol */
        DEDUP_TOO_MANY,      /* no room for another stream: answer busy */
} DedupVerdict;

/* The silence of streams counts from `now` on; any clock, but always the same one. */
int dedup_index_new(size_t max_streams, uint64_t now, DedupIndex **ret);
void dedup_index_clear(DedupIndex *d, uint64_t now); /* as new; nothing may be in progress */
DedupIndex *dedup_index_free(DedupIndex *d);
DEFINE_CLEANUP(DedupIndex *, dedup_index_free)

/* Loads what is on disk; to be called first, before db_start(). */
int dedup_index_load(DedupIndex *d, Db *db);

/* *ret_record (may be NULL) is set for DEDUP_RECORDED. Changes nothing. */
DedupVerdict dedup_index_judge(const DedupIndex *d, sd_id128_t stream, uint64_t sequence, sd_id128_t message,
                uint32_t attempt, DedupRecord *ret_record);

/* For a message that was judged DEDUP_RUN: from here on it is in progress, and `work` is its job. 0 or
 * -ENOMEM. The entry stays valid until dedup_index_finish() or dedup_index_abandon(). */
int dedup_index_begin(DedupIndex *d, sd_id128_t stream, uint64_t sequence, sd_id128_t message,
                uint32_t attempt, void *work, DedupEntry **ret);

/* The `work` of a message that was judged DEDUP_IN_PROGRESS. */
void *dedup_index_work(const DedupIndex *d, sd_id128_t stream, uint64_t sequence);

/* A retry has a higher attempt than the message that is in progress: the run now counts as that attempt. */
void dedup_index_raise(DedupEntry *e, uint32_t attempt);

/* The outcome is synced. False if its sender has settled it meanwhile: nobody will ask for it again. */
bool dedup_index_finish(DedupIndex *d, DedupEntry *e, Outcome outcome);
/* The message was not run: restores the entry as it was before dedup_index_begin(). */
void dedup_index_abandon(DedupIndex *d, DedupEntry *e);

/* Merges what a sender settled and drops those entries. Messages in progress are kept until they end.
 * *ret_set is lent until the next call. 0, -ENOMEM, -ENOSPC when there is no room for another stream, or
 * -EPROTO when there are more gaps between settled sequences than sequences may be open. */
int dedup_index_settle(
                DedupIndex *d, const SequenceSet *settled, sd_id128_t stream, const SequenceSet **ret_set);

/* Its sender has closed the stream: all of it is settled, whatever the sequence. */
void dedup_index_close(DedupIndex *d, sd_id128_t stream);

/* Of a message in progress: its sender has settled it meanwhile. */
bool dedup_index_is_settled(const DedupEntry *e);

/* -EBUSY while something of the stream is in progress; 0 also when nothing is known of it. */
int dedup_index_forget(DedupIndex *d, sd_id128_t stream);

/* Remembers which connection used a stream last, and when. */
void dedup_index_used(DedupIndex *d, sd_id128_t stream, uint64_t conn, uint64_t now);

/* Makes room for another stream. First choice: the oldest stream that is not `in_use` and completely
 * settled. Nothing is lost: if its sender comes back, it announces what is settled before it sends. Second
 * choice: the stream that has been silent longest, at least for STREAM_SILENT_USEC. Messages that its sender
 * repeats then run again. Returns how many outcomes were forgotten, or -ENOENT when there is no such stream.
 * The caller forgets *ret on disk, too. */
typedef bool (*DedupInUse)(sd_id128_t stream, uint64_t conn, void *userdata);
int dedup_index_evict(DedupIndex *d, uint64_t now, DedupInUse in_use, void *userdata, sd_id128_t *ret);

bool dedup_index_is_full(const DedupIndex *d); /* of streams */
size_t dedup_index_entries(const DedupIndex *d);
