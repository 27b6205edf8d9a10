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

#include "base/error.h"

typedef struct Db Db;
typedef struct DbOp DbOp;

struct DbOp {
        int (*run)(DbOp *op, sqlite3 *sql); /* in the writer thread; touches only the operation and the
                                               database */
        void (*done)(DbOp *op, int result); /* in the loop's thread; 0 means committed and synced. May free
                                               the op. */
        DbOp *next;                         /* the queue's */
        int result;
};

/* `migrations` are SQL scripts, NULL-terminated: script i brings user_version i to i + 1. A database from a
 * newer program is refused (-EPROTO). Creates the file (0600) and takes a lock on it that a second process
 * waits for at most `lock_usec`, then -EBUSY. Blocks; call it before the loop runs. */
int db_open(const char *path, const char *const *migrations, uint64_t lock_usec, Db **ret, Error *error);

/* Lets the thread finish what was submitted, calls every `done` that is left, closes. */
Db *db_close(Db *db);
DEFINE_CLEANUP(Db *, db_close)

/* Before db_start() the database may be read directly, to load what is needed. */
sqlite3 *db_sql(Db *db);
int db_start(Db *db);

void db_submit(Db *db, DbOp *op); /* never blocks */
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
