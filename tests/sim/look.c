/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/look.h"

#include <sqlite3.h>
#include <stdio.h>

#include "sim/actor.h"
#include "store/disk.h"

void look_at_memory(void)
{
        for (unsigned i = 0; i < sim.n_actors; i++) {
                Process *p = sim.actors[i]->process;

                if (process_is_up(p))
                        observe((Observation){.kind = OBS_MEMORY,
                                        .process = p,
                                        .number = process_n_objects(p),
                                        .sequence = process_n_bytes(p),
                                        .attempt = (uint32_t) process_n_descriptors(p)});
        }
}

static uint64_t ask(sqlite3 *sql, const char *query)
{
        sqlite3_stmt *s = NULL;
        uint64_t n = 0;

        if (sqlite3_prepare_v2(sql, query, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
                n = (uint64_t) sqlite3_column_int64(s, 0);
        (void) sqlite3_finalize(s);
        return n;
}

/* A graceful stop has moved everything from the redo log to the tables. */
static void look_at(const Actor *a)
{
        sqlite3 *sql = NULL;
        char path[64];

        (void) snprintf(path, sizeof path, "%s/receiver.db", a->directory);
        /* EXCLUSIVE, like the store: the disk has no shared memory, which WAL needs otherwise. */
        if (disk_exists(path) &&
                        sqlite3_open_v2(path, &sql, SQLITE_OPEN_READWRITE, disk_vfs()) == SQLITE_OK &&
                        sqlite3_exec(sql, "PRAGMA locking_mode=EXCLUSIVE", NULL, NULL, NULL) == SQLITE_OK)
                observe((Observation){.kind = OBS_DEDUP,
                                .process = a->process,
                                .number = ask(sql, "SELECT count(*) FROM outcome"),
                                .sequence = ask(sql, "SELECT count(*) FROM stream")});
        (void) sqlite3_close(sql);
}

void look_at_state(void)
{
        for (unsigned i = 0; i < sim.n_actors; i++)
                if (sim.actors[i]->role == ROLE_RECEIVER && !sim.actors[i]->original &&
                                !process_is_up(sim.actors[i]->process))
                        look_at(sim.actors[i]);
}
