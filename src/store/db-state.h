/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The tables and the redo log in front of them: runs one batch of operations so that all of it is synced, in
 * the one or the other. For db.c; one thread at a time. */

#include "store/db.h"
#include "store/redo.h"

typedef struct DbState {
        sqlite3 *sql;
        DbHot hot;
        Redo *redo;       /* NULL: everything goes to the tables */
        uint64_t applied; /* the number of the last block that the tables have */
        bool redo_failed; /* until the tables have everything */
        bool unlearnt;    /* what the last batch put into the log is not in `hot` yet */
} DbState;

/* `s` has its `sql` and its `hot`. What a crash left in the log is in the tables then. */
int db_state_open_redo(DbState *s, const char *path, Error *error);
void db_state_clear(DbState *s); /* all but `sql` */

/* Negative: nothing of the batch is on disk. Else each operation has its own result, and may go at once; but
 * db_state_learn() comes before anything else, so that who waits for the batch need not wait for that. */
int db_state_run(DbState *s, DbOp *first);
void db_state_learn(DbState *s);

int db_state_flush(DbState *s);           /* the tables get what only the log has */
bool db_state_is_large(const DbState *s); /* a flush is due */
