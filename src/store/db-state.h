/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The tables and the redo log in front of them. Runs one batch of operations and makes all of it durable, in
 * the log or in the tables. For db.c; one thread at a time. */

#include "base/error.h"
#include "store/damage.h"
#include "store/db-op.h"
#include "store/memtable.h"

typedef struct DbState {
        sqlite3 *sql;
        Memtable memtable;
        Redo *redo;           /* NULL: everything goes to the tables */
        uint64_t applied;     /* number of the last block that the tables have */
        bool salvaged;        /* and the tables may have later ones, or lack earlier ones */
        bool loss;            /* the next flush runs Memtable.on_loss */
        bool redo_failed;     /* until the tables have everything */
        bool apply_is_due;    /* the memtable lacks the last block */
        bool shrink_is_due;   /* perhaps: rows were written since it was looked at */
        uint64_t shrink_from; /* CLOCK_BOOTTIME: not before, since it failed */
} DbState;

/* In the table redo: `applied` of tables that were salvaged, and the same back. */
#define DB_STATE_SALVAGED(applied) (-1 - (applied))

/* The caller has set `sql` and `memtable`. Writes to the tables what a crash left in the log. What it lacks
 * is added to `damage`. 0 or negative errno with the reason. */
int db_state_open_redo(DbState *s, const char *path, Damage *damage, Error *error);
void db_state_clear(DbState *s);

/* Negative errno: nothing of the batch is on disk. Otherwise every operation has its own result and may be
 * handed back at once. The next call must be db_state_apply(), which enters the batch in the memtable. It is
 * a separate function so that nobody waits for it. */
int db_state_run(DbState *s, DbOp *first);
void db_state_apply(DbState *s);

int db_state_flush(DbState *s);           /* the tables get what only the log has */
bool db_state_is_large(const DbState *s); /* a flush is due */
void db_state_shrink(DbState *s);         /* gives space back when much is unused; nobody waits for it */
void db_state_checkpoint(DbState *s);     /* frees the space of SQLite's own log */
