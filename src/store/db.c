/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/db.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash-point.h"
#include "base/str-util.h"
#include "store/checked-vfs.h"
#include "store/db-state.h"
#include "store/disk.h"
#include "store/sql.h"
#include "store/worker.h"

/* As soon as so many operations are staged they go to the thread, before the end of the iteration. So thread
 * and loop work at the same time. */
#define KICK_AT 128u

#define LAZY_MAX 1024u /* pending operations; they use memory, so with more of them none waits */

struct Db {
        DbState state;  /* the worker's, once it is started */
        DiskFile *lock; /* held for as long as the database is open */
        Damage damage;  /* as opening found it */
        char *path;
        bool unreadable;
        _Atomic uint64_t bad_page; /* from 1; 0: not known. The worker writes it */
        Worker *worker;
        bool started;
        bool closing; /* the worker has stopped: db_close() runs what is staged */

        DbOpList staged; /* submitted since the last kick */
        bool urgent;     /* somebody waits for one of them */
        unsigned n_staged;
        size_t pending; /* submitted and not yet done */
};

static void run_batch(DbOp *first, void *userdata)
{
        Db *db = userdata;
        int r = db_state_run(&db->state, first);

        /* SQLite's own log may occupy the missing space. */
        if (r == -ENOSPC)
                db_state_checkpoint(&db->state);
        for (DbOp *op = r < 0 ? first : NULL; op; op = op->next)
                op->result = r;
        db->bad_page = checked_vfs_bad_page(db->state.sql);
        worker_finish(db->worker, first);
        db_state_apply(&db->state);
        if (db_state_is_large(&db->state))
                (void) db_state_flush(&db->state); /* after a failure the next batch tries again */
        db_state_shrink(&db->state);
}

static void flush_last(void *userdata)
{
        (void) db_state_flush(&((Db *) userdata)->state); /* after a failure the next start does it */
}

/* A lock of our own, beside SQLite's. A second daemon learns from it that the state is in use, before it
 * reads a byte. */
static int take_lock(Db *db, const char *path, uint64_t lock_usec, Error *error)
{
        _cleanup_free_ char *lock_path = str_format("%s.lock", path);
        int r;

        if (!lock_path)
                return -ENOMEM;
        r = disk_open(lock_path, &db->lock);
        if (r < 0)
                return error_set(error, r, "cannot open %s: %s", lock_path, strerror(-r));
        r = disk_lock(db->lock, lock_usec);
        if (r == -EBUSY)
                return error_set(error, r, "%s is in use by another process", path);
        return r < 0 ? error_set(error, r, "cannot lock %s: %s", lock_path, strerror(-r)) : 0;
}

int db_open(const char *path, const char *const *migrations, uint64_t lock_usec, const Memtable *memtable,
                Db **ret, Error *error)
{
        int r;

        _cleanup_(db_closep) Db *db = calloc(1, sizeof *db);
        if (!db) {
                if (memtable)
                        memtable->free(memtable->table);
                return -ENOMEM;
        }
        if (memtable)
                db->state.memtable = *memtable;
        op_list_init(&db->staged);

        db->path = strdup(path);
        if (!db->path)
                return -ENOMEM;
        r = worker_new(&(WorkerTask){run_batch, flush_last, db}, &db->worker);
        if (r < 0)
                return r;
        r = take_lock(db, path, lock_usec, error);
        if (r < 0)
                return r;
        r = damage_finish_salvage(path);
        if (r < 0)
                return error_set(error, r, "cannot finish the salvage of %s: %s", path, strerror(-r));
        r = sql_open(path, migrations, db->state.memtable.on_loss, &db->state.sql, &db->damage, error);
        if (r < 0)
                return r;
        r = memtable ? db_state_open_redo(&db->state, path, &db->damage, error) : 0;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(db);
        return 0;
}

int db_start(Db *db)
{
        int r = worker_start(db->worker);

        db->started = r >= 0;
        return r;
}

/* Runs what `done` submits while the database is closed, in this thread, until no `done` submits any more.
 */
static void run_rest(Db *db)
{
        DbOp *first;

        while ((first = db->staged.first)) {
                op_list_init(&db->staged);
                run_batch(first, db);
                db_dispatch(db);
        }
        flush_last(db);
}

Db *db_close(Db *db)
{
        if (!db)
                return NULL;
        if (db->started) {
                db_kick(db);
                worker_stop(db->worker);
                db->closing = true;
                db_dispatch(db);
                run_rest(db);
        }
        db_state_clear(&db->state);
        worker_free(db->worker);
        free(db->path);
        disk_close(db->lock);
        free(db);
        return NULL;
}

sqlite3 *db_sql(Db *db)
{
        assert(!db->started);
        return db->state.sql;
}

const Damage *db_damage(const Db *db)
{
        return &db->damage;
}

bool db_is_unreadable(const Db *db, const char **ret_path, uint64_t *ret_page)
{
        *ret_path = db->path;
        *ret_page = db->bad_page;
        return db->unreadable;
}

int db_lock_fd(Db *db)
{
        return disk_fd(db->lock);
}

int db_lock_identity(Db *db, uint64_t *ret_device, uint64_t *ret_inode)
{
        return disk_identity(db->lock, ret_device, ret_inode);
}

void db_submit_lazily(Db *db, DbOp *op)
{
        op_list_append(&db->staged, op);
        db->n_staged++;
        db->pending++;
        db->urgent |= db->pending > LAZY_MAX;
        if (db->n_staged >= KICK_AT)
                db_kick(db);
}

void db_submit(Db *db, DbOp *op)
{
        db->urgent = true;
        db_submit_lazily(db, op);
}

void db_kick(Db *db)
{
        if (!db->staged.first || db->closing)
                return;
        worker_submit(db->worker, &db->staged, db->urgent);
        db->n_staged = 0;
        db->urgent = false;
}

/* In the tables: with it they get the number of the last block of the redo log, and the commit takes the
 * place of one that failed. */
static int overwrite_run(DbOp *op, sqlite3 *sql)
{
        return sql_overwrite(sql);
}

void db_overwrite_op_init(DbOp *op)
{
        *op = (DbOp){.run = overwrite_run};
}

int db_fd(Db *db)
{
        return worker_fd(db->worker);
}

void db_dispatch(Db *db)
{
        DbOpList finished;

        worker_take_finished(db->worker, &finished);
        for (DbOp *op = finished.first, *next; op; op = next) {
                next = op->next;
                db->pending--;
                db->unreadable |= op->result == -EUCLEAN;
                crash_point("before-done");
                op->done(op, op->result);
                crash_point("behind-done");
        }
}

size_t db_pending(const Db *db)
{
        return db->pending;
}

bool db_is_alive(Db *db, uint64_t usec)
{
        return worker_is_alive(db->worker, usec);
}
