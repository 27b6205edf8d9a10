/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is written to the outbox's tables, in a transaction. For outbox*.c. */

#include "store/outbox.h"

int outbox_tables_insert(sqlite3 *sql, const OutboxInsertOp *o);
int outbox_tables_save(sqlite3 *sql, const OutboxRecord *record, const OutboxAttempt *attempts);
int outbox_tables_trim(sqlite3 *sql, unsigned keep, uint64_t keys_since_usec);
int outbox_tables_stream(
                sqlite3 *sql, sd_id128_t stream, sd_id128_t receiver); /* it may be remembered there */

/* outbox-hot.c: the same as records of the redo log. -ENOTSUP: only the tables know how. */
int outbox_redo_insert(const DbOp *op, Buffer *record);
int outbox_redo_save(const DbOp *op, Buffer *record);
int outbox_redo_stream(const DbOp *op, Buffer *record);
int outbox_redo_trim(const DbOp *op, Buffer *record);
int outbox_hot_new(DbHot *ret);
