/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One operation on a database, and lists of operations. */

#include <sqlite3.h>

#include "base/buffer.h"

typedef struct DbOp DbOp;
struct DbOp {
        /* Called in the writer thread. May touch only the operation and the database. 0 or negative errno.
         */
        int (*run)(DbOp *op, sqlite3 *sql);
        /* Appends the operation to `record`, in the form of the redo log. NULL, or -ENOTSUP as the result:
         * the operation must run in the tables. Otherwise 0 or negative errno. */
        int (*redo)(const DbOp *op, Buffer *record);
        /* Called in the loop's thread. 0: the operation is committed and synced. Otherwise a negative errno.
         * May free the operation. */
        void (*done)(DbOp *op, int result);
        DbOp *next; /* in the list that has it */
        int result;
};

typedef struct DbOpList {
        DbOp *first;
        DbOp **end; /* where the next one goes */
} DbOpList;

static inline void op_list_init(DbOpList *l)
{
        l->first = NULL;
        l->end = &l->first;
}

static inline void op_list_append(DbOpList *l, DbOp *op)
{
        op->next = NULL;
        *l->end = op;
        l->end = &op->next;
}

/* Moves all of `from` behind what is in `l`. */
static inline void op_list_move(DbOpList *l, DbOpList *from)
{
        if (!from->first)
                return;
        *l->end = from->first;
        l->end = from->end;
        op_list_init(from);
}
