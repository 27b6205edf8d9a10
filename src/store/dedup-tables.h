/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is written to a receiver's tables, in a transaction. For dedup*.c. */

#include "store/dedup.h"

int dedup_tables_record(sqlite3 *sql, const DedupRecord *record, const void *reply, size_t reply_size);
int dedup_tables_prune(sqlite3 *sql, sd_id128_t stream, const SequenceSet *settled);

/* dedup-hot.c: the same as records of the redo log. */
int dedup_redo_record(const DbOp *op, Buffer *record);
int dedup_redo_prune(const DbOp *op, Buffer *record);
int dedup_hot_new(DbHot *ret);
