/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One SQLite database (WAL, synchronous=FULL) and the one thread that touches it. The loop hands over
 * operations; the thread runs all that wait in one transaction (group commit: they share one sync) and hands
 * them back when it is durable.
 *
 * Order: operations run, and their `done` is called, in the order in which they were submitted. Failure: an
 * operation that fails is rolled back alone (savepoint) and done with its own error; a failing COMMIT (disk
 * full, I/O error) fails every operation of its batch, and nothing of it is on disk.
 *
 * The loop watches db_fd() for reading and then calls db_dispatch(). This floor knows no event loop. */

#include <sqlite3.h>

#include "base/buffer.h"
#include "base/error.h"

typedef struct Db Db;
typedef struct DbOp DbOp;
typedef struct Redo Redo;

struct DbOp {
        int (*run)(DbOp *op, sqlite3 *sql); /* in the writer thread; touches only the operation and the
                                               database */
        int (*redo)(const DbOp *op, Buffer *record); /* the same as a record of the redo log; NULL: has none.
                                                                   -ENOTSUP: this one has none */
        void (*done)(DbOp *op, int result); /* in the loop's thread; 0 means committed and synced. May free
                                               the op. */
        DbOp *next;                         /* the queue's */
        int result;
};

/* What is in the redo log and not in the tables yet ("hot"), as its owner understands it. A batch of
 * operations that all have a `redo` is appended to the log and synced, and that is all; the tables are given
 * what still matters when the log is full, when an operation needs the tables, at the end, and at the next
 * start. The log is PATH.redo, and the database has a table redo (applied INTEGER). Without room for the
 * file everything goes to the tables at once. All is called in the writer thread, or before db_start(). */
typedef struct DbHot {
        int (*learn)(void *hot, const uint8_t *record, size_t size,
                        uint32_t at);                      /* a record is in the log */
        int (*flush)(void *hot, Redo *redo, sqlite3 *sql); /* in a transaction; may come again */
        void (*forget)(void *hot);                         /* what was flushed is committed */
        size_t (*count)(const void *hot);                  /* of what a flush would write */
        void (*free)(void *hot);
        void *hot;
} DbHot;

/* `migrations` are SQL scripts, NULL-terminated: script i brings user_version i to i + 1. A database from a
 * newer program is refused (-EPROTO). Creates the file (0600) and takes a lock on it that a second process
 * waits for at most `lock_usec`, then -EBUSY. Blocks; call it before the loop runs. */
int db_open(const char *path, const char *const *migrations, uint64_t lock_usec, const DbHot *hot, Db **ret,
                Error *error); /* `hot` may be NULL; it is taken over, also by a failure */

/* Lets the thread finish what was submitted, calls every `done` that is left, closes. */
Db *db_close(Db *db);
DEFINE_CLEANUP(Db *, db_close)

/* Before db_start() the database may be read directly, to load what is needed. */
sqlite3 *db_sql(Db *db);
int db_start(Db *db);

/* Never blocks. The thread hears of it with db_kick(), once for all that one iteration of the loop submits.
 */
void db_submit(Db *db, DbOp *op);
void db_kick(Db *db);

/* For what nobody waits for: it rides on the next commit, or is written by itself after 20 ms, or when a
 * thousand operations are under way. The order of all operations is kept. */
void db_submit_lazily(Db *db, DbOp *op);
int db_fd(Db *db);
void db_dispatch(Db *db);
size_t db_pending(const Db *db); /* submitted and not yet done */

/* False while one batch has been running for longer than `usec`: the disk hangs. */
bool db_is_alive(Db *db, uint64_t usec);

/* The descriptor that holds the lock, for a process that must outlive this one before the state may be used
 * again. */
int db_lock_fd(Db *db);

/* Statement helpers for this floor: prepared once per database and kept, found again by their text. NULL
 * with the cause in sqlite3_errmsg(). Reset and cleared when returned. */
sqlite3_stmt *db_statement(sqlite3 *sql, const char *text);
int db_step_done(sqlite3_stmt *s);  /* runs to the end: 0, or negative errno */
int db_error(sqlite3 *sql, int rc); /* SQLite's code as a negative errno: -ENOSPC, -EIO, -ENOMEM … */
