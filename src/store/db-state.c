/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/db-state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/crash-point.h"
#include "base/str-util.h"
#include "base/time-util.h"
#include "store/disk.h"
#include "store/sql.h"

/* Rows in the memtable: more would make the next flush long, and need much memory. */
#define MEMTABLE_MAX         16384u
#define MEMTABLE_MAX_CRASHES 2u /* so that tests/crash visits the steps of a flush */

#define SHRINK_AGAIN_USEC (60 * USEC_PER_SEC)

/* Runs one operation inside the batch's transaction. If it fails, what it wrote is undone. A negative errno
 * is returned if that failed too, or if SQLite itself has rolled the transaction back (it does so on some
 * errors, such as a full disk): then no operation of the batch may be committed. */
static int run_one(DbState *s, DbOp *op)
{
        int r = 0;

        op->result = sql_run(sql_statement(s->sql, "SAVEPOINT op"));
        if (op->result < 0)
                return sqlite3_get_autocommit(s->sql) ? op->result : 0;
        op->result = op->run(op, s->sql);
        if (sqlite3_get_autocommit(s->sql))
                return op->result < 0 ? op->result : -EIO;
        if (op->result < 0)
                r = sql_run(sql_statement(s->sql, "ROLLBACK TO op"));
        return r < 0 ? r : sql_run(sql_statement(s->sql, "RELEASE op"));
}

static int commit(DbState *s)
{
        int r;

        crash_point("before-commit");
        r = sql_run(sql_statement(s->sql, "COMMIT"));
        crash_point("behind-commit");
        s->shrink_is_due |= r >= 0;
        return r;
}

static bool is_behind(const DbState *s)
{
        return s->redo && (redo_number(s->redo) != s->applied || s->salvaged);
}

/* Inside a transaction: the tables get what only the redo log has. */
static int flush_memtable(DbState *s)
{
        sqlite3_stmt *st;
        int r;

        if (!is_behind(s))
                return 0;
        r = s->memtable.flush(s->memtable.table, s->redo, s->sql);
        if (r >= 0 && s->loss && s->memtable.on_loss)
                r = sql_run_text(s->sql, s->memtable.on_loss);
        if (r < 0)
                return r;
        st = sql_statement(s->sql, "UPDATE redo SET applied = ?");
        if (!st || sqlite3_bind_int64(st, 1, (sqlite3_int64) redo_number(s->redo)) != SQLITE_OK)
                return -EIO;
        return sql_run(st);
}

static void clear_memtable(DbState *s)
{
        s->redo_failed = false;
        if (!is_behind(s))
                return;
        crash_point("flushed-before-restart");
        s->applied = redo_number(s->redo);
        s->salvaged = s->loss = false;
        s->memtable.clear(s->memtable.table);
        redo_restart(s->redo);
}

static int run_in_tables(DbState *s, DbOp *first)
{
        int r;

        r = sql_run(sql_statement(s->sql, "BEGIN IMMEDIATE"));
        if (r >= 0)
                r = flush_memtable(s);
        for (DbOp *op = first; op && r >= 0; op = op->next)
                r = run_one(s, op);
        const bool complete = r >= 0;
        if (complete)
                r = commit(s);
        if (r < 0 && !sqlite3_get_autocommit(s->sql))
                (void) sql_run(sql_statement(s->sql, "ROLLBACK"));
        if (r < 0 && complete)
                (void) sql_overwrite(s->sql); /* see db_overwrite_op_init() */
        if (r >= 0)
                clear_memtable(s);
        return r;
}

void db_state_shrink(DbState *s)
{
        const uint64_t now = now_usec(CLOCK_BOOTTIME);

        if (!s->shrink_is_due || now < s->shrink_from)
                return;
        s->shrink_is_due = false;
        if (sql_shrink(s->sql) < 0)
                s->shrink_from = usec_add(now, SHRINK_AGAIN_USEC);
}

static bool can_be_redone(const DbState *s, const DbOp *first)
{
        if (!s->redo || s->redo_failed)
                return false;
        for (; first; first = first->next)
                if (!first->redo)
                        return false;
        return true;
}

/* An operation fails alone if its record cannot be written. -ENOBUFS: the batch is for the tables. */
static int build_block(DbState *s, DbOp *first)
{
        Buffer *block = redo_begin(s->redo);

        for (DbOp *op = first; op && block; op = op->next) {
                if (redo_record_begin(s->redo) < 0)
                        return -ENOMEM;
                size_t before = buffer_size(block);
                op->result = op->redo(op, block);
                if (op->result == -ENOTSUP || redo_is_too_large(s->redo))
                        return -ENOBUFS;
                if (op->result < 0)
                        block->end = block->start + before;
                redo_record_end(s->redo);
        }
        return block ? 0 : -ENOMEM;
}

static int apply_record(void *userdata, const uint8_t *record, size_t size, uint32_t at)
{
        DbState *s = userdata;

        /* The record of an operation that failed is empty. */
        return size == 0 ? 0 : s->memtable.apply(s->memtable.table, record, size, at);
}

/* -ENOBUFS: the batch is for the tables, and nothing was done. */
static int run_in_redo(DbState *s, DbOp *first)
{
        int r;

        r = build_block(s, first);
        if (r < 0)
                return r;
        r = redo_commit(s->redo);
        if (r == -ENOBUFS && is_behind(s)) {
                r = run_in_tables(s, NULL);
                if (r >= 0)
                        r = redo_commit(s->redo);
        }
        if (r < 0) {
                s->redo_failed = r != -ENOBUFS;
                return r;
        }
        s->apply_is_due = true;
        return 0;
}

int db_state_run(DbState *s, DbOp *first)
{
        int r = -ENOBUFS;

        assert(!s->apply_is_due);
        if (can_be_redone(s, first))
                r = run_in_redo(s, first);
        return r == -ENOBUFS ? run_in_tables(s, first) : r;
}

void db_state_apply(DbState *s)
{
        /* The block is on disk, so a restart would find it: the memtable must not lack it. */
        if (s->apply_is_due && redo_walk(s->redo, apply_record, s) < 0)
                abort();
        s->apply_is_due = false;
}

int db_state_flush(DbState *s)
{
        return is_behind(s) ? run_in_tables(s, NULL) : 0;
}

bool db_state_is_large(const DbState *s)
{
        const size_t max = crash_is_planned() ? MEMTABLE_MAX_CRASHES : MEMTABLE_MAX;

        return s->redo && s->memtable.count(s->memtable.table) > max;
}

void db_state_checkpoint(DbState *s)
{
        (void) sqlite3_wal_checkpoint_v2(s->sql, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
}

void db_state_clear(DbState *s)
{
        sql_close(s->sql);
        redo_free(s->redo);
        if (s->memtable.free)
                s->memtable.free(s->memtable.table);
        *s = (DbState){};
}

static int read_applied(DbState *s)
{
        sqlite3_stmt *st = sql_statement(s->sql, "SELECT applied FROM redo");
        int rc = st ? sqlite3_step(st) : sqlite3_errcode(s->sql);

        if (rc == SQLITE_ROW) {
                const int64_t applied = sqlite3_column_int64(st, 0);
                s->salvaged = applied < 0;
                s->applied = (uint64_t) (applied < 0 ? DB_STATE_SALVAGED(applied) : applied);
        }
        (void) sqlite3_reset(st);
        return rc == SQLITE_ROW ? 0 : rc == SQLITE_DONE ? -EUCLEAN : sql_error(s->sql, rc);
}

/* Before anything is written over what is damaged. */
static void report(const DbState *s, const char *path, const char *redo_path, Damage *damage)
{
        const uint64_t missing = redo_missing(s->redo);

        if (missing > 0)
                (void) damage_keep(damage, redo_path);
        if (s->salvaged)
                damage_add(damage, "%s was salvaged", path);
        else if (missing > 0)
                damage_add(damage, "%" PRIu64 " batches of %s are lost", missing, redo_path);
        else if (redo_is_torn(s->redo))
                damage_minor(damage, redo_path);
}

int db_state_open_redo(DbState *s, const char *path, Damage *damage, Error *error)
{
        _cleanup_free_ char *redo_path = str_format("%s.redo", path);
        int r;

        if (!redo_path)
                return -ENOMEM;
        damage_look(damage, redo_path);
        r = read_applied(s);
        if (r < 0)
                return error_set(error, r,
                                r == -EUCLEAN ? "%s is damaged"
                                              : "%s does not say how much of its redo log it has",
                                path);
        r = redo_open(redo_path, &s->redo);
        /* The daemon can run without a log when no new one can be made. But a log that exists may hold
         * records that the tables lack. */
        if (r < 0 && !disk_exists(redo_path))
                return 0;
        if (r < 0)
                return error_set(error, r, "cannot open %s: %s", redo_path, strerror(-r));
        r = redo_replay(s->redo, s->applied, apply_record, s);
        if (r == -EPROTO)
                return error_set(error, r,
                                "%s was written by another version of this program: start and stop that "
                                "version once more",
                                redo_path);
        if (r >= 0) {
                report(s, path, redo_path, damage);
                s->loss = damage->found;
                r = db_state_flush(s);
        }
        if (r >= 0)
                r = redo_forget_rest(s->redo);
        if (r < 0)
                return error_set(error, r, "cannot write the records of %s to %s: %s", redo_path, path,
                                strerror(-r));
        redo_restart(s->redo);
        return 0;
}
