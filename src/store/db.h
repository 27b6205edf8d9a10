/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One SQLite database (WAL, synchronous=FULL) with one writer thread. The loop submits operations; the
 * thread runs all that wait in one transaction (group commit: they share one sync) and hands them back when
 * they are durable.
 *
 * Order: operations run, and their `done` is called, in the order in which they were submitted. Failure: an
 * operation that fails is rolled back alone (savepoint) and done with its own error. If the COMMIT fails
 * (disk full, I/O error), every operation of the batch fails and nothing of it is on disk.
 *
 * Redo log: with a memtable, a batch of operations that all have a `redo` is only appended to the log and
 * synced. What still matters goes to the tables when the log is full, when an operation needs the tables, at
 * the end, and at the next start. The log is PATH.redo, and the database has a table redo (applied INTEGER).
 * If the file cannot be created, everything goes straight to the tables.
 *
 * The loop watches db_fd() for reading and then calls db_dispatch(). This floor knows no event loop. */

#include "base/error.h"
#include "store/damage.h"
#include "store/db-op.h"
#include "store/memtable.h"

typedef struct Db Db;

/* `migrations` are SQL scripts, NULL-terminated: script i brings user_version i to i + 1. -EPROTO: a newer
 * program wrote the database; -EUCLEAN: it is damaged, see also db_damage(). Creates the file (0600) and
 * takes a lock on it; waits at most `lock_usec` for another process that has it, then -EBUSY. Blocks: call
 * it before the loop runs. Takes `memtable` over, even when it fails; NULL: no redo log. */
int db_open(const char *path, const char *const *migrations, uint64_t lock_usec, const Memtable *memtable,
                Db **ret, Error *error);

/* Runs what was submitted, calls every `done` that is left, closes. An operation that such a `done` submits
 * is run too. */
Db *db_close(Db *db);
DEFINE_CLEANUP(Db *, db_close)

/* Before db_start() only: for loading. */
sqlite3 *db_sql(Db *db);
int db_start(Db *db); /* starts the writer thread; 0 or negative errno */

/* Never blocks. Staged operations reach the thread with db_kick(), which the loop calls once per iteration,
 * or as soon as there are 128 of them. */
void db_submit(Db *db, DbOp *op);
void db_kick(Db *db);

/* For an operation that nobody waits for. It runs with the next urgent one, or after 20 ms, or at once when
 * about a thousand operations are pending. The order of all operations is kept. */
void db_submit_lazily(Db *db, DbOp *op);

/* What the disk has refused may be there all the same, if the disk refused to erase it, too: the next start
 * would find it. When this operation has succeeded, nothing that was refused before it is there. */
void db_overwrite_op_init(DbOp *op);

int db_fd(Db *db);
void db_dispatch(Db *db);        /* calls `done` of everything that is finished */
size_t db_pending(const Db *db); /* submitted and not yet done */

/* False while one batch has been running for longer than `usec`: the disk hangs. */
bool db_is_alive(Db *db, uint64_t usec);

const Damage *db_damage(const Db *db); /* what was lost, and the database could be opened nevertheless */

/* An operation has met damage. Nothing but an administrator helps. The path is lent; page 0: not known. */
bool db_is_unreadable(const Db *db, const char **ret_path, uint64_t *ret_page);

/* The descriptor that holds the lock. A process that inherits it keeps the state locked after this process
 * has ended. */
int db_lock_fd(Db *db);

/* Identifies the lock file. A copy of the directory has another one. 0 or negative errno. */
int db_lock_identity(Db *db, uint64_t *ret_device, uint64_t *ret_inode);
