/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The database on the loop: finished operations are dispatched as soon as the loop sees them, and submitted
 * operations go to the writer thread at the end of each iteration. */

#include <systemd/sd-id128.h>

#include "runtime/watch.h"
#include "store/db.h"

typedef struct Database {
        Loop *loop;
        Db *db;
        Watch watch;
        void (*before_kick)(void *userdata);
        void *userdata;
        bool gave_up;       /* the database cannot be read any more */
        int damaged_status; /* with which the loop then ends: EX_CONFIG, unless the user of this sets another
                             */
} Database;

/* Starts the writer thread of `db`, which must be open. Must not move in memory afterwards. `before_kick` is
 * called at the end of each iteration, before the operations that it may submit go to the thread; it may be
 * NULL. 0 or negative errno. Uses loop_set_post(). When an operation meets damage, the loop ends with
 * EX_CONFIG, so that nobody starts the program again in vain. */
int database_start(Database *d, Loop *loop, Db *db, void (*before_kick)(void *userdata), void *userdata);

/* Stops the watch, then closes `db`: the thread finishes, and every `done` that is left is called. Safe when
 * database_start() was not called or failed, and for NULL. Returns NULL. */
Db *database_close(Database *d, Db *db);

/* For service_start(); `database` is a Database, started or zeroed. False: the disk has not answered for so
 * long that only a new start helps. */
bool database_is_alive(void *database);

/* To be called once, after the database was opened: says in the journal and to the service manager what was
 * lost. */
void database_report_damage(const Db *db);
#define DAMAGE_TEXT_MAX (2 * ERROR_MAX + 64)
void database_describe_damage(
                const Db *db, char ret[static DAMAGE_TEXT_MAX]); /* the same in short; "": nothing */

sd_id128_t database_machine(void); /* this machine; null where it has no id */

/* Identifies the holder of the state directory: the boot of this host, and the lock file (a copy of the
 * directory has another one). Null and 0 where they cannot be read. */
void database_mark(Db *db, sd_id128_t *ret_boot, uint64_t *ret_lock_device, uint64_t *ret_lock_inode);
