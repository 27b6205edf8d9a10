/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A receiver's tables: writing rows, inside a transaction. Functions return 0 or a negative errno. */

#include <sqlite3.h>
#include <systemd/sd-id128.h>

#include "model/outcome.h"
#include "model/sequence-set.h"

typedef struct DedupRecord {
        sd_id128_t stream;
        uint64_t sequence;
        sd_id128_t message;
        uint32_t attempt;
        Outcome outcome;
        bool cut; /* the handler wrote a longer reply */
} DedupRecord;

/* See DedupRecordOp and DedupPruneOp. */
int dedup_tables_record(sqlite3 *sql, const DedupRecord *record, const void *reply, size_t reply_size);
int dedup_tables_prune(sqlite3 *sql, sd_id128_t stream, const SequenceSet *settled);

/* The ranges of a set, as the tables store them: pairs of big-endian numbers. */
int dedup_tables_unpack(SequenceSet *set, const void *data, size_t n); /* 0, -ENOMEM or -EUCLEAN */
