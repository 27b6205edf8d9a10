/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes a fresh outbox of what can be read of a damaged one. Rows on damaged pages are passed over. */

#include "store/outbox-salvage.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str-util.h"
#include "base/time-util.h"
#include "store/checked-vfs.h"
#include "store/disk.h"
#include "store/outbox-states.h"
#include "store/outbox.h"
#include "store/sql.h"

#define LOCK_USEC  (5 * USEC_PER_SEC)
#define IN_VAIN    100000u /* keys that are tried behind the last one that could be read */
#define N_NUMBERED 3       /* tables whose first column is the number of the message */
#define COLUMNS    32
#define TEXT_MAX   1024

static void put_insert(char ret[static TEXT_MAX], const char *table, sqlite3_stmt *row)
{
        int n = snprintf(ret, TEXT_MAX, "INSERT OR IGNORE INTO %s (", table);
        const int columns = MIN(sqlite3_column_count(row), COLUMNS);

        for (int i = 0; i < columns; i++)
                n += snprintf(ret + n, TEXT_MAX - (size_t) n, "%s%s", i > 0 ? ", " : "",
                                sqlite3_column_name(row, i));
        n += snprintf(ret + n, TEXT_MAX - (size_t) n, ") VALUES (");
        for (int i = 0; i < columns; i++)
                n += snprintf(ret + n, TEXT_MAX - (size_t) n, i > 0 ? ", ?" : "?");
        (void) snprintf(ret + n, TEXT_MAX - (size_t) n, ")");
}

static int copy_row(sqlite3 *to, const char *insert, sqlite3_stmt *row)
{
        sqlite3_stmt *s = sql_statement(to, insert);

        for (int i = 0; s && i < sqlite3_column_count(row); i++)
                (void) sqlite3_bind_value(s, i + 1, sqlite3_column_value(row, i));
        return sql_run(s);
}

/* Copies the rows that `select` gives, up to the first that cannot be read. `key` is the first column of the
 * last one. 1: there are no more; 0: one could not be read; negative errno: `to` refuses. */
static int copy_rows(sqlite3 *from, sqlite3 *to, const char *table, const char *select, int64_t *key)
{
        sqlite3_stmt *s = sql_statement(from, select);
        char insert[TEXT_MAX];
        int rc = SQLITE_ERROR, r = 0;

        if (!s)
                return 0;
        put_insert(insert, table, s);
        (void) sqlite3_bind_int64(s, 1, *key);
        while (r >= 0 && (rc = sqlite3_step(s)) == SQLITE_ROW) {
                *key = sqlite3_column_int64(s, 0);
                r = copy_row(to, insert, s);
        }
        (void) sqlite3_reset(s);
        return r < 0 ? r : rc == SQLITE_DONE;
}

/* Goes on behind rows that cannot be read. 1: the end was reached. */
static int copy_numbered(sqlite3 *from, sqlite3 *to, const char *table, const char *select)
{
        int64_t key = 0;
        unsigned in_vain = 0;
        int r = 0;

        while (r == 0 && in_vain < IN_VAIN) {
                const int64_t first = key;
                r = copy_rows(from, to, table, select, &key);
                in_vain = key > first ? 0 : in_vain + 1;
                if (in_vain > 0)
                        key = first + 1;
        }
        return r;
}

static int copy_tables(sqlite3 *from, sqlite3 *to)
{
        static const struct {
                const char *table, *forward, *backward;
        } tables[] = {
                        {"message", "SELECT * FROM message WHERE number >= ? ORDER BY number",
                                        "SELECT * FROM message ORDER BY number DESC"},
                        {"delivery", "SELECT * FROM delivery WHERE message >= ? ORDER BY message, member",
                                        "SELECT * FROM delivery ORDER BY message DESC, member DESC"},
                        {"attempt", "SELECT * FROM attempt WHERE message >= ? ORDER BY message, member, n",
                                        "SELECT * FROM attempt ORDER BY message DESC, member DESC, n DESC"},
                        {"stream", "SELECT * FROM stream ORDER BY stream, receiver",
                                        "SELECT * FROM stream ORDER BY stream DESC, receiver DESC"},
                        {"receiver", "SELECT * FROM receiver ORDER BY id",
                                        "SELECT * FROM receiver ORDER BY id DESC"},
                        {"client", "SELECT * FROM client", NULL},
                        {"redo", "SELECT * FROM redo", NULL},
        };
        int64_t unused = 0;
        int r = sql_run_text(to, "DELETE FROM redo");

        for (size_t i = 0; i < ELEMENTSOF(tables) && r >= 0; i++) {
                const char *table = tables[i].table;

                r = i < N_NUMBERED ? copy_numbered(from, to, table, tables[i].forward)
                                   : copy_rows(from, to, table, tables[i].forward, &unused);
                /* Not all of it: what is behind the damage may be reached from the end. */
                if (r == 0 && tables[i].backward)
                        r = copy_rows(from, to, table, tables[i].backward, &unused);
        }
        return r < 0 ? r : 0;
}

static int64_t count(sqlite3 *sql, const char *text)
{
        sqlite3_stmt *s = sql_statement(sql, text);
        const int64_t n = s && sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;

        if (s)
                (void) sqlite3_reset(s);
        return n;
}

/* A message needs both its own row and that of its delivery. */
static int complete(sqlite3 *sql, OutboxSalvage *ret)
{
        static const char *const texts[] = {
                        "DELETE FROM message WHERE NOT EXISTS (SELECT 1 FROM delivery d WHERE d.message = "
                        "number "
                        "AND d.member = 0)",
                        "DELETE FROM delivery WHERE message NOT IN (SELECT number FROM message)",
                        "DELETE FROM attempt WHERE message NOT IN (SELECT number FROM message)",
                        "UPDATE delivery SET duplicate = duplicate | 1 WHERE state NOT IN (" SQL_FINAL ")",
                        "INSERT INTO redo SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM redo)",
                        /* The tables may have more of the redo log than they say: DB_STATE_SALVAGED(). */
                        "UPDATE redo SET applied = -1 - applied WHERE applied >= 0",
        };
        int r = 0;

        ret->n_lost = (uint64_t) count(sql, "SELECT count(*) FROM message WHERE NOT EXISTS (SELECT 1 FROM "
                                            "delivery d"
                                            " WHERE d.message = number AND d.member = 0)") +
                      (uint64_t) count(sql,
                                      "SELECT count(*) FROM delivery WHERE member = 0 AND message NOT IN"
                                      " (SELECT number FROM message)");
        for (size_t i = 0; i < ELEMENTSOF(texts) && r >= 0; i++)
                r = sql_run_text(sql, texts[i]);
        ret->n_messages = (uint64_t) count(sql, "SELECT count(*) FROM message");
        ret->n_open = (uint64_t) count(sql,
                        "SELECT count(*) FROM delivery WHERE member = 0 AND state NOT IN "
                        "(" SQL_FINAL ")");
        return r;
}

/* Without SQLite's own log the file is complete. */
static int checkpoint(sqlite3 *sql)
{
        return sql_error(sql, sqlite3_wal_checkpoint_v2(sql, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL));
}

static int copy_all(sqlite3 *from, sqlite3 *to, OutboxSalvage *ret)
{
        int r = sql_run_text(to, "BEGIN");

        if (r >= 0)
                r = copy_tables(from, to);
        if (r >= 0)
                r = complete(to, ret);
        if (r >= 0)
                r = sql_run_text(to, "COMMIT");
        return r < 0 ? r : checkpoint(to);
}

static void remove_files(const char *path)
{
        static const char *const suffixes[] = {"-wal", ".sums", "", ".lock", ".redo"};

        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                _cleanup_free_ char *name = str_format("%s%s", path, suffixes[i]);
                if (name)
                        disk_remove(name);
        }
}

static int open_damaged(const char *path, sqlite3 **ret, Error *error)
{
        int rc = sqlite3_open_v2(path, ret,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, checked_vfs());

        if (rc == SQLITE_OK)
                rc = sqlite3_exec(*ret, "PRAGMA locking_mode=EXCLUSIVE; SELECT 1 FROM sqlite_schema", NULL,
                                NULL, NULL);
        (void) sqlite3_db_config(*ret, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        if (rc == SQLITE_IOERR_DATA)
                return error_set(error, -EUCLEAN,
                                "nothing of %s agrees with its checksums: if another program has opened it, "
                                "remove %s.sums, and start the client",
                                path, path);
        return rc == SQLITE_OK ? 0
                               : error_set(error, -EUCLEAN, "nothing of %s can be read: %s", path,
                                                 sqlite3_errmsg(*ret));
}

/* Makes the file `fresh`. */
static int salvage(const char *path, const char *fresh, OutboxSalvage *ret, Error *error)
{
        sqlite3 *from = NULL;
        Db *to = NULL;
        int r;

        remove_files(fresh);
        r = open_damaged(path, &from, error);
        if (r >= 0)
                r = outbox_open(fresh, &to, error);
        if (r >= 0)
                r = copy_all(from, db_sql(to), ret);
        if (r < 0 && error->text[0] == '\0')
                r = error_set(error, r, "cannot write %s: %s", fresh, strerror(-r));
        db_close(to);
        sql_close(from);
        return r;
}

/* What the disk cannot read of a log becomes zeroes. Both logs have checksums. */
static int make_readable(const char *log, Damage *damage)
{
        _cleanup_free_ char *fresh = str_format("%s.salvaging", log);
        _cleanup_(disk_closep) DiskFile *file = NULL;
        const uint8_t *map;
        uint64_t size = 0;
        int r;

        if (!fresh)
                return -ENOMEM;
        if (!disk_exists(log))
                return 0;
        r = disk_open(log, &file);
        if (r >= 0)
                r = disk_size(file, &size);
        if (r >= 0 && size > 0)
                r = disk_map(file, (size_t) size, &map);
        if (r != -EUCLEAN)
                return r;
        disk_remove(fresh);
        r = damage_keep(damage, log);
        if (r >= 0)
                r = damage_copy(log, fresh);
        if (r >= 0)
                r = disk_rename(fresh, log);
        return r < 0 ? r : disk_sync_directory(log);
}

int outbox_salvage(const char *path, OutboxSalvage *ret, Error *error)
{
        _cleanup_free_ char *fresh = str_format("%s.salvaging", path),
                            *lock_path = str_format("%s.lock", path), *log = str_format("%s-wal", path),
                            *redo = str_format("%s.redo", path);
        _cleanup_(disk_closep) DiskFile *lock = NULL;
        int r;

        *ret = (OutboxSalvage){};
        if (!fresh || !lock_path || !log || !redo)
                return -ENOMEM;
        if (!disk_exists(path))
                return error_set(error, -ENOENT, "there is no %s", path);
        r = disk_open(lock_path, &lock);
        if (r >= 0)
                r = disk_lock(lock, LOCK_USEC);
        if (r < 0)
                return error_set(
                                error, r, "cannot lock %s (is the client running?): %s", path, strerror(-r));
        r = damage_finish_salvage(path); /* of an earlier one */
        if (r >= 0)
                r = make_readable(log, &ret->damage);
        if (r >= 0)
                r = make_readable(redo, &ret->damage);
        if (r >= 0)
                r = salvage(path, fresh, ret, error);
        if (r >= 0 && disk_exists(log))
                r = damage_keep(&ret->damage, log);
        if (r >= 0)
                r = damage_keep(&ret->damage, path);
        if (r >= 0)
                r = damage_replace(path, fresh);
        remove_files(fresh);
        return r < 0 && error->text[0] == '\0'
                               ? error_set(error, r, "cannot replace %s: %s", path, strerror(-r))
                               : r;
}
