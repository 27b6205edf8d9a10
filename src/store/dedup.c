/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/dedup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/column.h"
#include "store/dedup-memtable.h"
#include "store/dedup-redo.h"
#include "store/sql.h"

/* Sequences are SQLite's signed integers: no stream reaches 2^63. */
static const char *const migrations[] = {
                "CREATE TABLE identity ("
                "  one INTEGER PRIMARY KEY CHECK (one = 1),"
                "  id BLOB NOT NULL, instance BLOB NOT NULL, boot BLOB NOT NULL,"
                "  lock_device INTEGER NOT NULL, lock_inode INTEGER NOT NULL, token TEXT NOT NULL"
                ") WITHOUT ROWID;"
                "CREATE TABLE stream ("
                "  stream BLOB PRIMARY KEY, low INTEGER NOT NULL, ranges BLOB NOT NULL"
                ") WITHOUT ROWID;"
                "CREATE TABLE outcome ("
                "  stream BLOB NOT NULL, sequence INTEGER NOT NULL, message BLOB NOT NULL,"
                "  attempt INTEGER NOT NULL, outcome INTEGER NOT NULL, reply BLOB NOT NULL,"
                "  PRIMARY KEY (stream, sequence)"
                ") WITHOUT ROWID",

                "CREATE TABLE redo (applied INTEGER NOT NULL); INSERT INTO redo VALUES (0)",

                /* From here on pages have checksums, which older programs do not keep. */
                "SELECT 0",

                "ALTER TABLE outcome ADD COLUMN cut INTEGER NOT NULL DEFAULT 0",
                NULL,
};

int dedup_open(const char *path, uint64_t lock_usec, Db **ret, Error *error)
{
        Memtable memtable;
        int r = dedup_memtable_new(&memtable);

        return r < 0 ? r : db_open(path, migrations, lock_usec, &memtable, ret, error);
}

static int load_stream(sqlite3_stmt *s, const DedupLoad *load)
{
        SequenceSet set;
        sd_id128_t stream;
        int r;

        sequence_set_init(&set);
        r = column_id(s, 0, &stream);
        if (r >= 0)
                r = sequence_set_add_below(&set, column_u64(s, 1));
        if (r >= 0)
                r = dedup_tables_unpack(
                                &set, sqlite3_column_blob(s, 2), (size_t) sqlite3_column_bytes(s, 2));
        if (r >= 0)
                r = load->settled(stream, &set, load->userdata);
        sequence_set_clear(&set);
        return r;
}

static int load_record(sqlite3_stmt *s, const DedupLoad *load)
{
        DedupRecord record = {
                        .sequence = column_u64(s, 1),
                        .attempt = (uint32_t) column_u64(s, 3),
                        .outcome = (Outcome) sqlite3_column_int(s, 4),
        };
        int r;

        r = column_id(s, 0, &record.stream);
        if (r < 0)
                return r;
        r = column_id(s, 2, &record.message);
        if (r < 0)
                return r;
        return load->record(&record, load->userdata);
}

static int walk(sqlite3 *sql, const char *text, int (*row)(sqlite3_stmt *s, const DedupLoad *load),
                const DedupLoad *load)
{
        sqlite3_stmt *s = sql_statement(sql, text);
        int rc, r = 0;

        if (!s)
                return -EIO;
        while (r >= 0 && (rc = sqlite3_step(s)) != SQLITE_DONE)
                r = rc == SQLITE_ROW ? row(s, load) : sql_error(sql, rc);
        (void) sqlite3_reset(s);
        return r < 0 ? r : 0;
}

int dedup_load(Db *db, const DedupLoad *load)
{
        sqlite3 *sql = db_sql(db);
        int r;

        r = walk(sql, "SELECT stream, low, ranges FROM stream", load_stream, load);
        if (r < 0)
                return r;
        return walk(sql, "SELECT stream, sequence, message, attempt, outcome FROM outcome", load_record,
                        load);
}

int dedup_load_identity(Db *db, DedupIdentity *ret)
{
        sqlite3 *sql = db_sql(db);
        sqlite3_stmt *s = sql_statement(
                        sql, "SELECT id, instance, boot, lock_device, lock_inode, token FROM identity");
        DedupIdentity identity = {};
        int r;

        if (!s)
                return -EIO;
        int rc = sqlite3_step(s);
        if (rc != SQLITE_ROW) {
                r = rc == SQLITE_DONE ? -ENOENT : sql_error(sql, rc);
                (void) sqlite3_reset(s);
                return r;
        }

        r = column_id(s, 0, &identity.id);
        if (r >= 0)
                r = column_id(s, 1, &identity.instance);
        if (r >= 0)
                r = column_id(s, 2, &identity.boot);
        identity.lock_device = column_u64(s, 3);
        identity.lock_inode = column_u64(s, 4);
        const char *token = (const char *) sqlite3_column_text(s, 5);
        if (r >= 0 && (!token || strlen(token) >= sizeof identity.token))
                r = -EUCLEAN;
        if (r >= 0) {
                strcpy(identity.token, token);
                *ret = identity;
        }
        (void) sqlite3_reset(s);
        return r < 0 ? r : 0;
}

static int identity_run(DbOp *op, sqlite3 *sql)
{
        const DedupIdentity *i = &CONTAINER_OF(op, DedupIdentityOp, op)->identity;
        sqlite3_stmt *s = sql_statement(sql, "INSERT OR REPLACE INTO identity (one, id, instance, boot, "
                                             "lock_device, lock_inode, token)"
                                             " VALUES (1, ?, ?, ?, ?, ?, ?)");

        if (!s)
                return -EIO;
        bind_id(s, 1, i->id);
        bind_id(s, 2, i->instance);
        bind_id(s, 3, i->boot);
        bind_u64(s, 4, i->lock_device);
        bind_u64(s, 5, i->lock_inode);
        (void) sqlite3_bind_text(s, 6, i->token, -1, SQLITE_STATIC);
        return sql_run(s);
}

void dedup_identity_op_init(DedupIdentityOp *o)
{
        *o = (DedupIdentityOp){.op.run = identity_run};
}

static int record_run(DbOp *op, sqlite3 *sql)
{
        const DedupRecordOp *o = CONTAINER_OF(op, DedupRecordOp, op);

        return dedup_tables_record(sql, &o->record, o->reply, o->reply_size);
}

static int record_redo(const DbOp *op, Buffer *record)
{
        const DedupRecordOp *o = CONTAINER_OF(op, DedupRecordOp, op);

        return dedup_redo_put_outcome(record, &o->record, o->reply, o->reply_size);
}

void dedup_record_op_init(DedupRecordOp *o)
{
        *o = (DedupRecordOp){.op = {.run = record_run, .redo = record_redo}};
}

static int prune_run(DbOp *op, sqlite3 *sql)
{
        const DedupPruneOp *o = CONTAINER_OF(op, DedupPruneOp, op);

        return dedup_tables_prune(sql, o->stream, o->settled);
}

static int prune_redo(const DbOp *op, Buffer *record)
{
        const DedupPruneOp *o = CONTAINER_OF(op, DedupPruneOp, op);

        return dedup_redo_put_prune(record, o->stream, o->settled);
}

void dedup_prune_op_init(DedupPruneOp *o)
{
        *o = (DedupPruneOp){.op = {.run = prune_run, .redo = prune_redo}};
}

static int forget_run(DbOp *op, sqlite3 *sql)
{
        static const char *const texts[] = {
                        "DELETE FROM outcome WHERE stream = ?", "DELETE FROM stream WHERE stream = ?"};
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(texts) && r >= 0; i++) {
                sqlite3_stmt *s = sql_statement(sql, texts[i]);
                if (!s)
                        return -EIO;
                bind_id(s, 1, CONTAINER_OF(op, DedupForgetOp, op)->stream);
                r = sql_run(s);
        }
        return r;
}

void dedup_forget_op_init(DedupForgetOp *o)
{
        *o = (DedupForgetOp){.op.run = forget_run};
}

static int read_reply(sqlite3_stmt *s, DedupReplyOp *o)
{
        o->cut = sqlite3_column_int(s, 1);
        return column_bytes(s, 0, &o->reply, &o->reply_size);
}

static int reply_run(DbOp *op, sqlite3 *sql)
{
        DedupReplyOp *o = CONTAINER_OF(op, DedupReplyOp, op);
        sqlite3_stmt *s = sql_statement(
                        sql, "SELECT reply, cut FROM outcome WHERE stream = ? AND sequence = ?");
        int r = 0;

        if (!s)
                return -EIO;
        bind_id(s, 1, o->stream);
        bind_u64(s, 2, o->sequence);
        int rc = sqlite3_step(s);
        if (rc == SQLITE_ROW)
                r = read_reply(s, o);
        else
                r = rc == SQLITE_DONE ? -ENOENT : sql_error(sql, rc);
        (void) sqlite3_reset(s);
        return r;
}

void dedup_reply_op_init(DedupReplyOp *o)
{
        *o = (DedupReplyOp){.op.run = reply_run};
}

static int reset_run(DbOp *op, sqlite3 *sql)
{
        static const char *const texts[] = {
                        "DELETE FROM outcome", "DELETE FROM stream", "DELETE FROM identity"};
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(texts) && r >= 0; i++)
                r = sql_run_text(sql, texts[i]);
        return r;
}

void dedup_reset_op_init(DedupResetOp *o)
{
        *o = (DedupResetOp){.op.run = reset_run};
}
