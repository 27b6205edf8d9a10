/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether the outbox is a copy, and what follows from that. */

#include <errno.h>

#include "base/random-pool.h"
#include "store/column.h"
#include "store/outbox-states.h"
#include "store/outbox.h"
#include "store/sql.h"

/* -ENOENT: this outbox is new. */
static int read_place(sqlite3 *sql, OutboxPlace *ret)
{
        sqlite3_stmt *s = sql_statement(sql, "SELECT machine, boot, device, inode FROM client");
        int rc = s ? sqlite3_step(s) : SQLITE_ERROR, r = -ENOENT;

        if (rc == SQLITE_ROW) {
                r = column_id(s, 0, &ret->machine);
                if (r >= 0)
                        r = column_id(s, 1, &ret->boot);
                ret->device = column_u64(s, 2);
                ret->inode = column_u64(s, 3);
        } else if (rc != SQLITE_DONE)
                r = sql_error(sql, rc);
        (void) sqlite3_reset(s);
        return r;
}

/* Numbers of devices may change at a boot, and those of files of some file systems. */
static bool is_elsewhere(const OutboxPlace *there, const OutboxPlace *here)
{
        if (!sd_id128_is_null(there->machine) && !sd_id128_is_null(here->machine) &&
                        !sd_id128_equal(there->machine, here->machine))
                return true;
        return !sd_id128_is_null(there->boot) && sd_id128_equal(there->boot, here->boot) &&
               (there->device != here->device || there->inode != here->inode);
}

static int write_place(sqlite3 *sql, const OutboxPlace *here, sd_id128_t fresh)
{
        sqlite3_stmt *s =
                        sql_statement(sql, "INSERT INTO client (one, id, machine, boot, device, inode)"
                                           " VALUES (1, ?1, ?2, ?3, ?4, ?5) ON CONFLICT (one) DO UPDATE SET"
                                           " machine = ?2, boot = ?3, device = ?4, inode = ?5");

        if (!s)
                return -EIO;
        bind_id(s, 1, fresh);
        bind_id_or_null(s, 2, here->machine);
        bind_id_or_null(s, 3, here->boot);
        bind_u64(s, 4, here->device);
        bind_u64(s, 5, here->inode);
        return sql_run(s);
}

/* A cancellation stays where it is: the original wants it, too. */
static int become_another(sqlite3 *sql)
{
        static const char *const texts[] = {
                        OUTBOX_SUSPECT,
                        "DELETE FROM client",
                        "UPDATE delivery SET state = " SQL_QUEUED ", receiver = NULL, receiver_name = '',"
                        " stream = NULL, sequence = 0 WHERE state = " SQL_BOUND,
                        "DELETE FROM stream WHERE NOT EXISTS (SELECT 1 FROM delivery d WHERE d.stream ="
                        " stream.stream AND d.state IN (" SQL_ENDING "))",
        };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(texts) && r >= 0; i++)
                r = sql_run_text(sql, texts[i]);
        return r;
}

static int take_place(sqlite3 *sql, const OutboxPlace *here, bool *ret_copied)
{
        OutboxPlace there = {};
        sd_id128_t fresh;
        int r;

        r = random_uuid(NULL, fresh.bytes);
        if (r >= 0)
                r = read_place(sql, &there);
        *ret_copied = r >= 0 && is_elsewhere(&there, here);
        if (r == -ENOENT)
                r = 0;
        if (r >= 0 && *ret_copied)
                r = become_another(sql);
        return r < 0 ? r : write_place(sql, here, fresh);
}

static int in_transaction(sqlite3 *sql, int r)
{
        if (r >= 0)
                return sql_run_text(sql, "COMMIT");
        if (!sqlite3_get_autocommit(sql))
                (void) sql_run_text(sql, "ROLLBACK");
        return r;
}

int outbox_take_place(Db *db, const OutboxPlace *here, bool *ret_copied)
{
        sqlite3 *sql = db_sql(db);
        int r = sql_run_text(sql, "BEGIN IMMEDIATE");

        return in_transaction(sql, r < 0 ? r : take_place(sql, here, ret_copied));
}
