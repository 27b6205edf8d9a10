/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/column.h"

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

/* The receiver may remember the stream from the first message on, so its row is there before. */
static int keep_stream(sqlite3 *sql, const OutboxRecord *record)
{
        if (sd_id128_is_null(record->stream))
                return 0;
        sqlite3_stmt *s = db_statement(sql, "INSERT OR IGNORE INTO stream (stream, receiver) VALUES (?, ?)");
        if (!s)
                return -EIO;
        bind_id(s, 1, record->stream);
        bind_id(s, 2, record->receiver);
        return db_step_done(s);
}

/* Parameters 1 to 10 of both statements on `delivery` that write how far it got. */
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
        bind_u64(s, 11, record->number);
}

static int insert_run(DbOp *op, sqlite3 *sql)
{
        const OutboxInsertOp *o = CONTAINER_OF(op, OutboxInsertOp, op);
        const OutboxRecord *record = &o->record;
        int r;

        sqlite3_stmt *s =
                        db_statement(sql, "INSERT INTO message (number, id, target, size, accepted, payload)"
                                          " VALUES (?, ?, ?, ?, ?, ?)");
        if (!s)
                return -EIO;
        bind_u64(s, 1, record->number);
        bind_id(s, 2, record->id);
        bind_text(s, 3, record->target);
        bind_u64(s, 4, record->size);
        bind_u64(s, 5, record->accepted_usec);
        bind_bytes(s, 6, o->payload, record->size);
        r = db_step_done(s);
        if (r < 0)
                return r;

        s = db_statement(sql,
                        "INSERT INTO delivery (state, receiver, receiver_name, stream, sequence, attempts,"
                        " duplicate, error, settled, reply, message, member, queue)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)");
        if (!s)
                return -EIO;
        bind_progress(s, record);
        bind_text(s, 12, record->queue);
        r = db_step_done(s);
        return r < 0 ? r : keep_stream(sql, record);
}

void outbox_insert_op_init(OutboxInsertOp *o)
{
        *o = (OutboxInsertOp){.op.run = insert_run};
}

static int drop_payload(sqlite3 *sql, uint64_t number)
{
        sqlite3_stmt *s = db_statement(sql, "UPDATE message SET payload = NULL WHERE number = ?");

        if (!s)
                return -EIO;
        bind_u64(s, 1, number);
        return db_step_done(s);
}

static int save_run(DbOp *op, sqlite3 *sql)
{
        const OutboxRecord *record = &CONTAINER_OF(op, OutboxSaveOp, op)->record;
        int r;

        sqlite3_stmt *s = db_statement(sql,
                        "UPDATE delivery SET state = ?, receiver = ?, receiver_name = ?,"
                        " stream = ?, sequence = ?, attempts = ?, duplicate = ?, error = ?,"
                        " settled = ?, reply = ? WHERE message = ? AND member = 0");
        if (!s)
                return -EIO;
        bind_progress(s, record);
        r = db_step_done(s);
        if (r < 0)
                return r;
        if (record->state == DELIVERY_ACKED || record->state == DELIVERY_CANCELLED)
                return drop_payload(sql, record->number);
        return record->state == DELIVERY_BOUND ? keep_stream(sql, record) : 0;
}

void outbox_save_op_init(OutboxSaveOp *o)
{
        *o = (OutboxSaveOp){.op.run = save_run};
}

static int trim_state(sqlite3 *sql, DeliveryState state, unsigned keep)
{
        static const char *const texts[] = {
                        "DELETE FROM message WHERE number IN (SELECT message FROM delivery WHERE state = ?1"
                        " ORDER BY message DESC LIMIT -1 OFFSET ?2)",
                        "DELETE FROM delivery WHERE state = ?1 AND message IN (SELECT message FROM delivery"
                        " WHERE state = ?1 ORDER BY message DESC LIMIT -1 OFFSET ?2)",
        };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(texts) && r >= 0; i++) {
                sqlite3_stmt *s = db_statement(sql, texts[i]);
                if (!s)
                        return -EIO;
                (void) sqlite3_bind_int(s, 1, (int) state);
                bind_u64(s, 2, keep);
                r = db_step_done(s);
        }
        return r;
}

static int trim_run(DbOp *op, sqlite3 *sql)
{
        unsigned keep = CONTAINER_OF(op, OutboxTrimOp, op)->keep;
        int r = trim_state(sql, DELIVERY_ACKED, keep);

        return r < 0 ? r : trim_state(sql, DELIVERY_CANCELLED, keep);
}

void outbox_trim_op_init(OutboxTrimOp *o)
{
        *o = (OutboxTrimOp){.op.run = trim_run};
}

static int stream_run(DbOp *op, sqlite3 *sql)
{
        const OutboxStreamOp *o = CONTAINER_OF(op, OutboxStreamOp, op);
        sqlite3_stmt *s = db_statement(sql, "DELETE FROM stream WHERE stream = ? AND receiver = ?");

        if (!s)
                return -EIO;
        bind_id(s, 1, o->stream);
        bind_id(s, 2, o->receiver);
        return db_step_done(s);
}

void outbox_stream_op_init(OutboxStreamOp *o)
{
        *o = (OutboxStreamOp){.op.run = stream_run};
}

static int receiver_run(DbOp *op, sqlite3 *sql)
{
        const OutboxReceiverOp *o = CONTAINER_OF(op, OutboxReceiverOp, op);
        sqlite3_stmt *s = db_statement(sql, o->record ? "REPLACE INTO receiver (id, record) VALUES (?1, ?2)"
                                                      : "DELETE FROM receiver WHERE id = ?1");

        if (!s)
                return -EIO;
        bind_id(s, 1, o->id);
        if (o->record)
                bind_text(s, 2, o->record);
        return db_step_done(s);
}

void outbox_receiver_op_init(OutboxReceiverOp *o)
{
        *o = (OutboxReceiverOp){.op.run = receiver_run};
}

static int payload_run(DbOp *op, sqlite3 *sql)
{
        OutboxPayloadOp *o = CONTAINER_OF(op, OutboxPayloadOp, op);
        sqlite3_stmt *s = db_statement(sql, "SELECT payload FROM message WHERE number = ?");
        int r;

        if (!s)
                return -EIO;
        bind_u64(s, 1, o->number);
        int rc = sqlite3_step(s);
        if (rc == SQLITE_ROW && sqlite3_column_type(s, 0) != SQLITE_NULL)
                r = column_bytes(s, 0, &o->payload, &o->size);
        else
                r = rc == SQLITE_ROW || rc == SQLITE_DONE ? -ENOENT : db_error(sql, rc);
        (void) sqlite3_reset(s);
        return r;
}

void outbox_payload_op_init(OutboxPayloadOp *o)
{
        *o = (OutboxPayloadOp){.op.run = payload_run};
}

/* Appends the rows of a prepared query, up to `limit` of them. */
static int collect(OutboxFindOp *o, sqlite3 *sql, sqlite3_stmt *s)
{
        size_t n = 0;
        int rc, r = 0;

        while (r >= 0 && n < o->limit && (rc = sqlite3_step(s)) != SQLITE_DONE) {
                if (rc != SQLITE_ROW) {
                        r = db_error(sql, rc);
                        break;
                }
                OutboxRecord *records = reallocarray(o->records, o->n_records + 1, sizeof *records);
                if (!records) {
                        r = -ENOMEM;
                        break;
                }
                o->records = records;
                r = outbox_read_record(s, records + o->n_records);
                if (r >= 0)
                        o->n_records++, n++;
        }
        (void) sqlite3_reset(s);
        return r;
}

static int newest_first(const void *a, const void *b)
{
        uint64_t x = ((const OutboxRecord *) a)->number, y = ((const OutboxRecord *) b)->number;

        return x < y ? 1 : x > y ? -1 : 0;
}

/* One walk along the index for each state, so that no number of messages in other states slows it down. */
static int find_newest(OutboxFindOp *o, sqlite3 *sql)
{
        int r = 0;

        for (int state = 0; state < _DELIVERY_STATE_MAX && r >= 0; state++) {
                if (!(o->states & (1u << state)))
                        continue;
                sqlite3_stmt *s = db_statement(sql,
                                "SELECT " OUTBOX_COLUMNS " WHERE d.state = ? AND d.message < ?"
                                " ORDER BY d.message DESC LIMIT ?");
                if (!s)
                        return -EIO;
                (void) sqlite3_bind_int(s, 1, state);
                bind_u64(s, 2, MIN(o->number, (uint64_t) INT64_MAX));
                bind_u64(s, 3, o->limit);
                r = collect(o, sql, s);
        }
        if (r < 0)
                return r;
        if (o->n_records > 0)
                qsort(o->records, o->n_records, sizeof *o->records, newest_first);
        while (o->n_records > o->limit)
                outbox_record_clear(o->records + --o->n_records);
        return 0;
}

static int find_run(DbOp *op, sqlite3 *sql)
{
        OutboxFindOp *o = CONTAINER_OF(op, OutboxFindOp, op);
        sqlite3_stmt *s;

        if (o->query == OUTBOX_NEWEST)
                return find_newest(o, sql);
        if (o->query == OUTBOX_QUEUE)
                s = db_statement(sql, "SELECT " OUTBOX_COLUMNS " WHERE d.state = 0 AND d.queue = ?"
                                      " AND d.message > ? ORDER BY d.message LIMIT ?");
        else
                s = db_statement(sql, "SELECT " OUTBOX_COLUMNS " WHERE m.id BETWEEN ? AND ? LIMIT ?");
        if (!s)
                return -EIO;
        if (o->query == OUTBOX_QUEUE) {
                bind_text(s, 1, o->queue);
                bind_u64(s, 2, o->number);
        } else {
                bind_id(s, 1, o->first);
                bind_id(s, 2, o->last);
        }
        bind_u64(s, 3, o->limit);
        return collect(o, sql, s);
}

void outbox_find_op_init(OutboxFindOp *o, OutboxQuery query, size_t limit)
{
        *o = (OutboxFindOp){.op.run = find_run, .query = query, .limit = limit};
}
