/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/column.h"
#include "store/outbox-tables.h"

void outbox_record_clear(OutboxRecord *record)
{
        free(record->target);
        free(record->queue);
        free(record->error);
        free(record->reply);
        *record = (OutboxRecord){};
}

void outbox_records_free(OutboxRecord *records, size_t n)
{
        for (size_t i = 0; i < n; i++)
                outbox_record_clear(records + i);
        free(records);
}

OutboxAttempt *outbox_attempts_free(OutboxAttempt *first)
{
        while (first) {
                OutboxAttempt *next = first->next;
                free(first->detail);
                free(first);
                first = next;
        }
        return NULL;
}

int outbox_tables_stream(sqlite3 *sql, sd_id128_t stream, sd_id128_t receiver)
{
        if (sd_id128_is_null(stream))
                return 0;
        sqlite3_stmt *s = db_statement(sql, "INSERT OR IGNORE INTO stream (stream, receiver) VALUES (?, ?)");
        if (!s)
                return -EIO;
        bind_id(s, 1, stream);
        bind_id(s, 2, receiver);
        return db_step_done(s);
}

/* The receiver may remember the stream from the first message on, so its row is there before. */
static int keep_stream(sqlite3 *sql, const OutboxRecord *record)
{
        return outbox_tables_stream(sql, record->stream, record->receiver);
}

/* Parameters 1 to 14 of both statements on `delivery` that write how far it got. */
static void bind_progress(sqlite3_stmt *s, const OutboxRecord *record)
{
        (void) sqlite3_bind_int(s, 1, (int) record->state);
        bind_id_or_null(s, 2, record->receiver);
        bind_text(s, 3, record->receiver_name);
        bind_id_or_null(s, 4, record->stream);
        bind_u64(s, 5, record->sequence);
        bind_u64(s, 6, record->attempts);
        (void) sqlite3_bind_int(s, 7, record->duplicate);
        bind_text(s, 8, record->error);
        bind_u64(s, 9, record->settled_usec);
        bind_bytes(s, 10, record->reply, record->reply_size);
        bind_u64(s, 11, record->sent_usec);
        if (record->wake_usec > 0)
                bind_u64(s, 12, record->wake_usec);
        else
                (void) sqlite3_bind_null(s, 12);
        bind_u64(s, 13, record->number);
        bind_u64(s, 14, record->member);
}

static int insert_delivery(sqlite3 *sql, const OutboxRecord *record)
{
        sqlite3_stmt *s = db_statement(sql,
                        "INSERT INTO delivery (state, receiver, receiver_name, stream, sequence, attempts,"
                        " duplicate, error, settled, reply, sent, wake, message, member, queue, priority)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");

        if (!s)
                return -EIO;
        bind_progress(s, record);
        bind_text(s, 15, record->queue);
        (void) sqlite3_bind_int(s, 16, (int) record->policy.priority);
        return db_step_done(s);
}

/* -EEXIST with the id when a message has that key. */
static int find_key(sqlite3 *sql, const char *key, sd_id128_t *ret)
{
        sqlite3_stmt *s = db_statement(sql, "SELECT id FROM message WHERE key = ?");
        int rc, r = 0;

        if (!s)
                return -EIO;
        bind_text(s, 1, key);
        rc = sqlite3_step(s);
        if (rc == SQLITE_ROW)
                r = column_id(s, 0, ret) < 0 ? -EUCLEAN : -EEXIST;
        else if (rc != SQLITE_DONE)
                r = db_error(sql, rc);
        (void) sqlite3_reset(s);
        return r;
}

static int insert_message(sqlite3 *sql, const OutboxInsertOp *o)
{
        const OutboxRecord *record = &o->record;
        sqlite3_stmt *s = db_statement(sql, "INSERT INTO message (number, id, target, size, accepted, "
                                            "payload, ack_timeout, backoff,"
                                            " backoff_max, max_attempts, start, deadline, key)"
                                            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");

        if (!s)
                return -EIO;
        bind_u64(s, 1, record->number);
        bind_id(s, 2, record->id);
        bind_text(s, 3, record->target);
        bind_u64(s, 4, record->size);
        bind_u64(s, 5, record->accepted_usec);
        bind_bytes(s, 6, o->payload, record->size);
        bind_u64(s, 7, record->policy.ack_timeout_usec);
        bind_u64(s, 8, record->policy.backoff_usec);
        bind_u64(s, 9, record->policy.backoff_max_usec);
        bind_u64(s, 10, record->policy.max_attempts);
        bind_u64(s, 11, record->policy.start_usec);
        bind_u64(s, 12, record->policy.deadline_usec);
        if (o->key)
                bind_text(s, 13, o->key);
        else
                (void) sqlite3_bind_null(s, 13);
        return db_step_done(s);
}

int outbox_tables_insert(sqlite3 *sql, const OutboxInsertOp *o)
{
        int r = insert_message(sql, o);

        if (r >= 0)
                r = insert_delivery(sql, &o->record);
        for (size_t i = 0; i < o->n_members && r >= 0; i++)
                r = insert_delivery(sql, o->members + i);
        return r;
}

static int insert_run(DbOp *op, sqlite3 *sql)
{
        OutboxInsertOp *o = CONTAINER_OF(op, OutboxInsertOp, op);
        int r = o->key ? find_key(sql, o->key, &o->existing) : 0;

        if (r >= 0)
                r = outbox_tables_insert(sql, o);
        return r < 0 ? r : keep_stream(sql, &o->record);
}

void outbox_insert_op_init(OutboxInsertOp *o)
{
        *o = (OutboxInsertOp){.op = {.run = insert_run, .redo = outbox_redo_insert}};
}

static int join_run(DbOp *op, sqlite3 *sql)
{
        OutboxRecord *member = &CONTAINER_OF(op, OutboxJoinOp, op)->member;
        sqlite3_stmt *s = db_statement(
                        sql, "SELECT max(member), max(queue = ?2) FROM delivery WHERE message = ?1");
        int rc, r = 0;

        if (!s)
                return -EIO;
        bind_u64(s, 1, member->number);
        bind_text(s, 2, member->queue);
        rc = sqlite3_step(s);
        if (rc != SQLITE_ROW)
                r = db_error(sql, rc);
        else if (sqlite3_column_int(s, 1))
                r = -EEXIST;
        member->member = rc == SQLITE_ROW ? (uint32_t) column_u64(s, 0) + 1 : 0;
        (void) sqlite3_reset(s);
        if (r >= 0 && member->member > MEMBERS_MAX)
                r = -E2BIG;
        return r < 0 ? r : insert_delivery(sql, member);
}

void outbox_join_op_init(OutboxJoinOp *o)
{
        *o = (OutboxJoinOp){.op.run = join_run};
}

/* Nobody needs it any more when the whole is acked or cancelled and no member is under way. */
static int drop_payload(sqlite3 *sql, uint64_t number)
{
        sqlite3_stmt *s = db_statement(sql, "UPDATE message SET payload = NULL WHERE number = ?1 AND NOT "
                                            "EXISTS (SELECT 1 FROM delivery"
                                            " WHERE message = ?1 AND (state NOT IN (5, 6, 7, 8) OR (member "
                                            "= 0 AND state IN (6, 8))))");

        if (!s)
                return -EIO;
        bind_u64(s, 1, number);
        return db_step_done(s);
}

static int add_attempt(sqlite3 *sql, uint64_t number, const OutboxAttempt *a)
{
        sqlite3_stmt *s = db_statement(sql, "INSERT INTO attempt (message, member, n, attempt, sent, ended, "
                                            "receiver_name, outcome,"
                                            " detail) VALUES (?1, ?2, (SELECT ifnull(max(n), 0) + 1 FROM "
                                            "attempt WHERE message = ?1"
                                            " AND member = ?2), ?3, ?4, ?5, ?6, ?7, ?8)");

        if (!s)
                return -EIO;
        bind_u64(s, 1, number);
        bind_u64(s, 2, a->member);
        bind_u64(s, 3, a->attempt);
        bind_u64(s, 4, a->sent_usec);
        bind_u64(s, 5, a->ended_usec);
        bind_text(s, 6, a->receiver_name);
        bind_text(s, 7, a->outcome);
        bind_text(s, 8, a->detail);
        return db_step_done(s);
}

static int add_attempts(sqlite3 *sql, uint64_t number, const OutboxAttempt *first)
{
        int r = 0;

        for (const OutboxAttempt *a = first; a && r >= 0; a = a->next)
                r = add_attempt(sql, number, a);
        if (r < 0 || !first)
                return r;
        sqlite3_stmt *s = db_statement(sql, "DELETE FROM attempt WHERE message = ?1 AND member = ?2 AND n "
                                            "<= (SELECT max(n) FROM attempt"
                                            " WHERE message = ?1 AND member = ?2) - ?3");
        if (!s)
                return -EIO;
        bind_u64(s, 1, number);
        bind_u64(s, 2, first->member);
        bind_u64(s, 3, ATTEMPTS_KEPT);
        return db_step_done(s);
}

int outbox_tables_save(sqlite3 *sql, const OutboxRecord *record, const OutboxAttempt *attempts)
{
        int r;

        sqlite3_stmt *s = db_statement(sql,
                        "UPDATE delivery SET state = ?, receiver = ?, receiver_name = ?,"
                        " stream = ?, sequence = ?, attempts = ?, duplicate = ?, error = ?,"
                        " settled = ?, reply = ?, sent = ?, wake = ? WHERE message = ? AND member = ?");
        if (!s)
                return -EIO;
        bind_progress(s, record);
        r = db_step_done(s);
        if (r >= 0)
                r = add_attempts(sql, record->number, attempts);
        if (r >= 0 && delivery_state_is_final(record->state))
                r = drop_payload(sql, record->number);
        return r < 0 || record->state != DELIVERY_BOUND ? r : keep_stream(sql, record);
}

static int save_run(DbOp *op, sqlite3 *sql)
{
        const OutboxSaveOp *o = CONTAINER_OF(op, OutboxSaveOp, op);

        return outbox_tables_save(sql, &o->record, o->attempts);
}

void outbox_save_op_init(OutboxSaveOp *o)
{
        *o = (OutboxSaveOp){.op = {.run = save_run, .redo = outbox_redo_save}};
}

/* The surplus of one state, behind the `keep` newest: found first, since its rows are in three tables. */
static int find_surplus(sqlite3 *sql, DeliveryState state, unsigned keep, uint64_t keys_since_usec)
{
        sqlite3_stmt *s = db_statement(sql,
                        "INSERT INTO temp.doomed SELECT d.message FROM delivery d JOIN message m ON "
                        "m.number = d.message"
                        " WHERE d.state = ?1 AND d.member = 0 AND (m.key IS NULL OR d.settled < ?3"
                        "  OR d.message <= (SELECT max(number) FROM message) - ?4)"
                        " AND NOT EXISTS (SELECT 1 FROM delivery e WHERE e.message = d.message"
                        " AND e.state NOT IN (5, 6, 7, 8)) ORDER BY d.message DESC LIMIT -1 OFFSET ?2");

        if (!s)
                return -EIO;
        (void) sqlite3_bind_int(s, 1, (int) state);
        bind_u64(s, 2, keep);
        bind_u64(s, 3, keys_since_usec);
        bind_u64(s, 4, KEYS_KEPT_MAX);
        return db_step_done(s);
}

/* Removes the messages of temp.doomed from every table. */
static int remove_doomed(sqlite3 *sql)
{
        static const char *const texts[] = {
                        "DELETE FROM attempt WHERE message IN (SELECT number FROM temp.doomed)",
                        "DELETE FROM delivery WHERE message IN (SELECT number FROM temp.doomed)",
                        "DELETE FROM message WHERE number IN (SELECT number FROM temp.doomed)",
                        "DELETE FROM temp.doomed",
        };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(texts) && r >= 0; i++) {
                sqlite3_stmt *s = db_statement(sql, texts[i]);
                r = s ? db_step_done(s) : -EIO;
        }
        return r;
}

static int run_text(sqlite3 *sql, const char *text)
{
        sqlite3_stmt *s = db_statement(sql, text);

        return s ? db_step_done(s) : -EIO;
}

static int make_doomed(sqlite3 *sql)
{
        return run_text(sql, "CREATE TEMP TABLE IF NOT EXISTS doomed (number INTEGER PRIMARY KEY)");
}

/* To look for the surplus is a walk over all that is kept, which with senders' own names for messages may be
 * those of an hour: it is done when an eighth more has come since the last time. Positive: now. */
static int is_worth_trimming(sqlite3 *sql)
{
        int rc, r = run_text(sql, "CREATE TEMP TABLE IF NOT EXISTS trimmed (number INTEGER, kept INTEGER)");
        sqlite3_stmt *s;

        if (r < 0)
                return r;
        s = db_statement(sql,
                        "SELECT (SELECT max(number) FROM message) - number < kept / 8 FROM temp.trimmed");
        if (!s)
                return -EIO;
        rc = sqlite3_step(s);
        r = rc == SQLITE_ROW ? !sqlite3_column_int(s, 0) : rc == SQLITE_DONE ? 1 : db_error(sql, rc);
        (void) sqlite3_reset(s);
        return r;
}

static int note_trimmed(sqlite3 *sql)
{
        int r = run_text(sql, "DELETE FROM temp.trimmed");

        return r < 0 ? r
                     : run_text(sql, "INSERT INTO temp.trimmed SELECT ifnull(max(number), 0), (SELECT "
                                     "count(*) "
                                     "FROM delivery WHERE state IN (5, 7)) FROM message");
}

int outbox_tables_trim(sqlite3 *sql, unsigned keep, uint64_t keys_since_usec)
{
        int r = is_worth_trimming(sql);

        if (r <= 0)
                return r;
        r = make_doomed(sql);
        if (r >= 0)
                r = find_surplus(sql, DELIVERY_ACKED, keep, keys_since_usec);
        if (r >= 0)
                r = find_surplus(sql, DELIVERY_CANCELLED, keep, keys_since_usec);
        if (r >= 0)
                r = remove_doomed(sql);
        return r < 0 ? r : note_trimmed(sql);
}

static int trim_run(DbOp *op, sqlite3 *sql)
{
        const OutboxTrimOp *o = CONTAINER_OF(op, OutboxTrimOp, op);

        return outbox_tables_trim(sql, o->keep, o->keys_since_usec);
}

static int purge_run(DbOp *op, sqlite3 *sql)
{
        uint64_t number = CONTAINER_OF(op, OutboxPurgeOp, op)->number;
        int r = make_doomed(sql);

        if (r < 0)
                return r;
        sqlite3_stmt *s = db_statement(sql,
                        "INSERT INTO temp.doomed SELECT number FROM message WHERE number = ?1 AND NOT EXISTS"
                        " (SELECT 1 FROM delivery WHERE message = ?1 AND state NOT IN (5, 6, 7, 8))");
        if (!s)
                return -EIO;
        bind_u64(s, 1, number);
        r = db_step_done(s);
        if (r >= 0 && sqlite3_changes(sql) == 0)
                return -EBUSY;
        return r < 0 ? r : remove_doomed(sql);
}

void outbox_purge_op_init(OutboxPurgeOp *o)
{
        *o = (OutboxPurgeOp){.op.run = purge_run};
}

void outbox_trim_op_init(OutboxTrimOp *o)
{
        *o = (OutboxTrimOp){.op = {.run = trim_run, .redo = outbox_redo_trim}};
}

static int stream_run(DbOp *op, sqlite3 *sql)
{
        const OutboxStreamOp *o = CONTAINER_OF(op, OutboxStreamOp, op);

        if (o->keep)
                return outbox_tables_stream(sql, o->stream, o->receiver);
        sqlite3_stmt *s = db_statement(sql, "DELETE FROM stream WHERE stream = ? AND receiver = ?");

        if (!s)
                return -EIO;
        bind_id(s, 1, o->stream);
        bind_id(s, 2, o->receiver);
        return db_step_done(s);
}

void outbox_stream_op_init(OutboxStreamOp *o)
{
        *o = (OutboxStreamOp){.op = {.run = stream_run, .redo = outbox_redo_stream}};
}

static int receiver_run(DbOp *op, sqlite3 *sql)
{
        const OutboxReceiverOp *o = CONTAINER_OF(op, OutboxReceiverOp, op);
        sqlite3_stmt *s = db_statement(
                        sql, o->record ? "REPLACE INTO receiver (id, record, departed) VALUES (?1, ?2, ?3)"
                                       : "DELETE FROM receiver WHERE id = ?1");
        int r;

        if (!s)
                return -EIO;
        bind_id(s, 1, o->id);
        if (o->record) {
                bind_text(s, 2, o->record);
                (void) sqlite3_bind_int(s, 3, o->departed);
        }
        r = db_step_done(s);
        if (r < 0 || o->record)
                return r;
        s = db_statement(sql, "DELETE FROM stream WHERE receiver = ?");
        if (!s)
                return -EIO;
        bind_id(s, 1, o->id);
        return db_step_done(s);
}

void outbox_receiver_op_init(OutboxReceiverOp *o)
{
        *o = (OutboxReceiverOp){.op.run = receiver_run};
}
