/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The outbox's tables: writing rows, inside a transaction, and reading them. Functions return 0 or a
 * negative errno. */

#include "store/outbox-record.h"
#include <sqlite3.h>

/* A delivery with its message. `key` may be NULL. */
int outbox_tables_insert(sqlite3 *sql, const OutboxRecord *record, const void *payload, const char *key);
int outbox_tables_insert_delivery(sqlite3 *sql, const OutboxRecord *record); /* of a message that is there */

bool outbox_tables_have(sqlite3 *sql, const OutboxRecord *record); /* the message, with the same id */

/* How far a delivery got. */
int outbox_tables_save(sqlite3 *sql, const OutboxRecord *record, const OutboxAttempt *attempts);

/* The receiver may remember the stream from now on. A null stream is none. */
int outbox_tables_add_stream(sqlite3 *sql, sd_id128_t stream, sd_id128_t receiver);
int outbox_tables_remove_stream(sqlite3 *sql, sd_id128_t stream, sd_id128_t receiver);

/* See OutboxTrimOp. 1: there are more. */
int outbox_tables_trim(sqlite3 *sql, unsigned keep, uint64_t keys_since_usec, bool thorough);
int outbox_tables_purge(sqlite3 *sql, uint64_t number); /* -EBUSY: it is not at its end */

/* What outbox_tables_read() needs of a SELECT. `reply` is d.reply, or NULL where nobody needs it. */
#define OUTBOX_FIELDS_WITH(reply)                                                                           \
        "m.number, m.id, m.target, d.queue, m.size, m.accepted, d.state, d.receiver, d.receiver_name, "     \
        "d.stream, d.sequence, d.attempts, d.duplicate, d.error, d.settled, " reply ", d.member, d.sent, "  \
        "d.wake, m.ack_timeout, m.backoff, m.backoff_max, m.max_attempts, m.start, m.deadline, d.priority"
#define OUTBOX_FIELDS   OUTBOX_FIELDS_WITH("d.reply")
#define OUTBOX_TABLES   " FROM delivery d JOIN message m ON m.number = d.message"
#define OUTBOX_COLUMNS  OUTBOX_FIELDS OUTBOX_TABLES
#define OUTBOX_N_FIELDS 26 /* the column behind them */
int outbox_tables_read(sqlite3_stmt *s, OutboxRecord *ret);
