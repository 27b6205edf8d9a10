/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/outbox.h"

#include <errno.h>
#include <string.h>

#include "store/column.h"
#include "store/outbox-redo.h"
#include "store/outbox-tables.h"
#include "store/sql.h"

/* -EEXIST, and the id of the message, when one has that key. */
static int find_key(sqlite3 *sql, const char *key, sd_id128_t *ret)
{
        sqlite3_stmt *s = sql_statement(sql, "SELECT id FROM message WHERE key = ?");
        int rc, r = 0;

        if (!s)
                return -EIO;
        bind_text(s, 1, key);
        rc = sqlite3_step(s);
        if (rc == SQLITE_ROW)
                r = column_id(s, 0, ret) < 0 ? -EUCLEAN : -EEXIST;
        else if (rc != SQLITE_DONE)
                r = sql_error(sql, rc);
        (void) sqlite3_reset(s);
        return r;
}

static int insert_run(DbOp *op, sqlite3 *sql)
{
        OutboxInsertOp *o = CONTAINER_OF(op, OutboxInsertOp, op);
        int r = o->key ? find_key(sql, o->key, &o->existing) : 0;

        if (r >= 0)
                r = outbox_tables_insert(sql, &o->record, o->payload, o->key);
        for (size_t i = 0; i < o->n_members && r >= 0; i++)
                r = outbox_tables_insert_delivery(sql, o->members + i);
        /* The receiver may remember the stream from the first message on, so its row comes with it. */
        return r < 0 ? r : outbox_tables_add_stream(sql, o->record.stream, o->record.receiver);
}

static int insert_redo(const DbOp *op, Buffer *record)
{
        const OutboxInsertOp *o = CONTAINER_OF(op, OutboxInsertOp, op);

        /* Only the tables can check that a key is unique, or insert several rows. */
        if (o->key || o->n_members > 0)
                return -ENOTSUP;
        return outbox_redo_put_insert(record, &o->record, o->payload);
}

void outbox_insert_op_init(OutboxInsertOp *o)
{
        *o = (OutboxInsertOp){.op = {.run = insert_run, .redo = insert_redo}};
}

static int join_run(DbOp *op, sqlite3 *sql)
{
        OutboxRecord *member = &CONTAINER_OF(op, OutboxJoinOp, op)->member;
        sqlite3_stmt *s = sql_statement(
                        sql, "SELECT max(member), max(queue = ?2) FROM delivery WHERE message = ?1");
        int rc, r = 0;

        if (!s)
                return -EIO;
        bind_u64(s, 1, member->number);
        bind_text(s, 2, member->queue);
        rc = sqlite3_step(s);
        if (rc != SQLITE_ROW)
                r = sql_error(sql, rc);
        else if (sqlite3_column_int(s, 1))
                r = -EEXIST;
        member->member = rc == SQLITE_ROW ? (uint32_t) column_u64(s, 0) + 1 : 0;
        (void) sqlite3_reset(s);
        if (r >= 0 && member->member > MEMBERS_MAX)
                r = -E2BIG;
        return r < 0 ? r : outbox_tables_insert_delivery(sql, member);
}

void outbox_join_op_init(OutboxJoinOp *o)
{
        *o = (OutboxJoinOp){.op.run = join_run};
}

static int save_run(DbOp *op, sqlite3 *sql)
{
        const OutboxSaveOp *o = CONTAINER_OF(op, OutboxSaveOp, op);

        return outbox_tables_save(sql, &o->record, o->attempts);
}

static int save_redo(const DbOp *op, Buffer *record)
{
        const OutboxSaveOp *o = CONTAINER_OF(op, OutboxSaveOp, op);

        return o->attempts ? -ENOTSUP : outbox_redo_put_save(record, &o->record);
}

void outbox_save_op_init(OutboxSaveOp *o)
{
        *o = (OutboxSaveOp){.op = {.run = save_run, .redo = save_redo}};
}

static int trim_run(DbOp *op, sqlite3 *sql)
{
        OutboxTrimOp *o = CONTAINER_OF(op, OutboxTrimOp, op);
        int r = outbox_tables_trim(sql, o->keep, o->keys_since_usec, o->thorough);

        o->more = r > 0;
        return r < 0 ? r : 0;
}

static int trim_redo(const DbOp *op, Buffer *record)
{
        const OutboxTrimOp *o = CONTAINER_OF(op, OutboxTrimOp, op);

        return o->thorough ? -ENOTSUP : outbox_redo_put_trim(record, o->keep, o->keys_since_usec);
}

void outbox_trim_op_init(OutboxTrimOp *o)
{
        *o = (OutboxTrimOp){.op = {.run = trim_run, .redo = trim_redo}};
}

static int purge_run(DbOp *op, sqlite3 *sql)
{
        return outbox_tables_purge(sql, CONTAINER_OF(op, OutboxPurgeOp, op)->number);
}

void outbox_purge_op_init(OutboxPurgeOp *o)
{
        *o = (OutboxPurgeOp){.op.run = purge_run};
}

static int stream_run(DbOp *op, sqlite3 *sql)
{
        const OutboxStreamOp *o = CONTAINER_OF(op, OutboxStreamOp, op);

        return o->keep ? outbox_tables_add_stream(sql, o->stream, o->receiver)
                       : outbox_tables_remove_stream(sql, o->stream, o->receiver);
}

static int stream_redo(const DbOp *op, Buffer *record)
{
        const OutboxStreamOp *o = CONTAINER_OF(op, OutboxStreamOp, op);

        return o->keep ? outbox_redo_put_stream(record, o->stream, o->receiver) : -ENOTSUP;
}

void outbox_stream_op_init(OutboxStreamOp *o)
{
        *o = (OutboxStreamOp){.op = {.run = stream_run, .redo = stream_redo}};
}

static int receiver_run(DbOp *op, sqlite3 *sql)
{
        const OutboxReceiverOp *o = CONTAINER_OF(op, OutboxReceiverOp, op);
        sqlite3_stmt *s = sql_statement(
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
        r = sql_run(s);
        if (r < 0 || o->record)
                return r;
        s = sql_statement(sql, "DELETE FROM stream WHERE receiver = ?");
        if (!s)
                return -EIO;
        bind_id(s, 1, o->id);
        return sql_run(s);
}

void outbox_receiver_op_init(OutboxReceiverOp *o)
{
        *o = (OutboxReceiverOp){.op.run = receiver_run};
}
