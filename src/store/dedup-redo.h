/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A receiver's records in the redo log, to and from bytes. The format is on disk: a change needs another
 * version in the log's magic (redo.c). */

#include "base/bytes.h"
#include "store/dedup-tables.h"

/* Append a record. 0 or -ENOMEM. */
int dedup_redo_put_outcome(Buffer *out, const DedupRecord *record, const void *reply, size_t reply_size);
int dedup_redo_put_prune(Buffer *out, sd_id128_t stream, const SequenceSet *set);

/* A record is an outcome or a prune. `reply` points into the record; `settled` is the caller's to clear. */
typedef enum DedupRedoType {
        DEDUP_REDO_OUTCOME = 1,
        DEDUP_REDO_PRUNE,
        DEDUP_REDO_OUTCOME_CUT, /* as DEDUP_REDO_OUTCOME, which it is for the reader: its reply is cut */
} DedupRedoType;
typedef struct DedupRedoRecord {
        DedupRedoType type;
        DedupRecord outcome; /* of a prune only the stream is set */
        Bytes reply;
        SequenceSet settled;
} DedupRedoRecord;
int dedup_redo_take(const uint8_t *data, size_t size, DedupRedoRecord *ret); /* 0, -ENOMEM or -EUCLEAN */
