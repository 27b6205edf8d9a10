/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is in the redo log and not yet in the tables. Only its owner (outbox, dedup) knows what a record
 * means; the database calls the owner through these functions. Functions that return int return 0 or a
 * negative errno. */

#include "store/redo.h"
#include <sqlite3.h>

typedef struct Memtable {
        int (*apply)(void *table, const uint8_t *record, size_t size,
                        uint32_t at); /* the log has the record, at `at` */
        /* Writes what still matters to the tables, inside a transaction. Changes nothing in memory: the
         * transaction may fail, and then flush() is called again. */
        int (*flush)(void *table, Redo *redo, sqlite3 *sql);
        void (*clear)(void *table);         /* what was flushed is committed */
        size_t (*count)(const void *table); /* how many rows a flush would write */
        void (*free)(void *table);
        void *table; /* NULL: there is no memtable */
        /* SQL for the tables, run when a start finds that records are lost, together with what that start
         * writes: no later start knows of the loss. NULL: nothing. */
        const char *on_loss;
} Memtable;
