/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/str-util.h"
#include "store/db.h"

int db_error(sqlite3 *sql, int rc)
{
        static const struct {
                int code, error;
        } table[] = {
                        {SQLITE_FULL, ENOSPC},
                        {SQLITE_NOMEM, ENOMEM},
                        {SQLITE_CONSTRAINT, EEXIST},
                        {SQLITE_BUSY, EBUSY},
                        {SQLITE_LOCKED, EBUSY},
                        {SQLITE_READONLY, EROFS},
                        {SQLITE_PERM, EACCES},
                        {SQLITE_CANTOPEN, ENOENT},
                        {SQLITE_CORRUPT, EUCLEAN},
                        {SQLITE_NOTADB, EUCLEAN},
                        {SQLITE_TOOBIG, E2BIG},
                        {SQLITE_MISUSE, EINVAL},
        };

        if (rc == SQLITE_OK || rc == SQLITE_DONE || rc == SQLITE_ROW)
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (table[i].code == (rc & 0xFF))
                        return -table[i].error;

        int os = sql ? sqlite3_system_errno(sql) : 0;
        return os > 0 ? -os : -EIO;
}

/* SQLite keeps a list of a connection's statements; ours is found in it by its text, so no list of our own
 * is needed. A walk over a few dozen is cheap beside running one. */
sqlite3_stmt *db_statement(sqlite3 *sql, const char *text)
{
        sqlite3_stmt *s = NULL;

        while ((s = sqlite3_next_stmt(sql, s)))
                if (str_equal(sqlite3_sql(s), text)) {
                        (void) sqlite3_reset(s);
                        (void) sqlite3_clear_bindings(s);
                        return s;
                }
        if (sqlite3_prepare_v3(sql, text, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL) != SQLITE_OK)
                return NULL;
        return s;
}

int db_step_done(sqlite3_stmt *s)
{
        int rc;

        if (!s)
                return -EIO;
        while ((rc = sqlite3_step(s)) == SQLITE_ROW)
                ;

        int r = db_error(sqlite3_db_handle(s), rc);
        (void) sqlite3_reset(s);
        return r;
}
