/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/sql.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str-util.h"
#include "base/time-util.h"
#include "store/checked-vfs.h"
#include "store/disk.h"
#include "store/wal.h"

/* After a start that follows a crash the tables are read, but not for longer. */
#define CHECK_USEC (2 * USEC_PER_SEC)

int sql_error(sqlite3 *sql, int rc)
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
        if (rc == SQLITE_IOERR_DATA || rc == SQLITE_IOERR_READ)
                return -EUCLEAN;
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (table[i].code == (rc & 0xFF))
                        return -table[i].error;

        int os = sql ? sqlite3_system_errno(sql) : 0;
        return os > 0 ? -os : -EIO;
}

/* SQLite itself lists the statements of a database, so we search that list and keep none of our own. There
 * are a few dozen: the search costs little beside running one. */
sqlite3_stmt *sql_statement(sqlite3 *sql, const char *text)
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

int sql_run(sqlite3_stmt *s)
{
        int rc;

        if (!s)
                return -EIO;
        while ((rc = sqlite3_step(s)) == SQLITE_ROW)
                ;

        int r = sql_error(sqlite3_db_handle(s), rc);
        (void) sqlite3_reset(s);
        return r;
}

int sql_run_text(sqlite3 *sql, const char *text)
{
        return sql_run(sql_statement(sql, text));
}

static int execute(sqlite3 *sql, const char *script)
{
        return sql_error(sql, sqlite3_exec(sql, script, NULL, NULL, NULL));
}

static int user_version(sqlite3 *sql)
{
        sqlite3_stmt *s = NULL;
        int version = -EIO;

        if (sqlite3_prepare_v2(sql, "PRAGMA user_version", -1, &s, NULL) == SQLITE_OK &&
                        sqlite3_step(s) == SQLITE_ROW)
                version = sqlite3_column_int(s, 0);
        (void) sqlite3_finalize(s);
        return version;
}

static int migrate(sqlite3 *sql, const char *path, const char *const *migrations, Error *error)
{
        int version = user_version(sql), newest = 0, r;

        while (migrations[newest])
                newest++;
        if (version < 0)
                return error_set(error, -EUCLEAN, "cannot read %s: %s", path, sqlite3_errmsg(sql));
        if (version > newest)
                return error_set(error, -EPROTO, "%s is of version %d, this program knows up to %d", path,
                                version, newest);

        for (; version < newest; version++) {
                _cleanup_free_ char *script = str_format("BEGIN EXCLUSIVE;%s;PRAGMA user_version=%d;COMMIT",
                                migrations[version], version + 1);
                if (!script)
                        return -ENOMEM;
                r = execute(sql, script);
                if (r < 0)
                        return error_set(error, r, "cannot bring %s to version %d: %s", path, version + 1,
                                        sqlite3_errmsg(sql));
        }
        return 0;
}

/* In pages. The rest is copied, so it must be small, or everybody waits for long. */
#define SHRINK_FROM 512
#define SHRINK_REST 4096

static int64_t read_number(sqlite3 *sql, const char *text)
{
        sqlite3_stmt *s = sql_statement(sql, text);
        int64_t n = s && sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;

        if (s)
                (void) sqlite3_reset(s);
        return n;
}

int sql_shrink(sqlite3 *sql)
{
        const int64_t all = read_number(sql, "PRAGMA page_count"),
                      unused = read_number(sql, "PRAGMA freelist_count");

        if (all < SHRINK_FROM || unused < all / 4 * 3 || all - unused > SHRINK_REST)
                return 0;
        int r = execute(sql, "VACUUM");
        (void) sqlite3_wal_checkpoint_v2(sql, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        return r;
}

/* The smallest thing that SQLite writes although it changes nothing. */
int sql_overwrite(sqlite3 *sql)
{
        int version = user_version(sql);
        char script[48];

        if (version < 0)
                return version;
        (void) snprintf(script, sizeof script, "PRAGMA user_version=%d", version);
        return execute(sql, script);
}

/* SQLite would create the file with the mode that the umask leaves; it holds messages. The file is closed
 * before SQLite opens it: to close it later would drop SQLite's lock. */
static int create(const char *path, Error *error)
{
        DiskFile *file = NULL;
        int r = disk_open(path, &file);

        disk_close(file);
        return r < 0 ? error_set(error, r, "cannot open %s: %s", path, strerror(-r)) : 0;
}

static int open_database(const char *path, sqlite3 **ret, Error *error)
{
        /* EXCLUSIVE: no other process reads the database, so WAL needs no shared memory file. */
        static const char pragmas[] = "PRAGMA locking_mode=EXCLUSIVE;"
                                      "PRAGMA journal_mode=WAL;"
                                      "PRAGMA synchronous=FULL;"
                                      "PRAGMA foreign_keys=ON;"
                                      "PRAGMA temp_store=MEMORY;"
                                      "PRAGMA wal_autocheckpoint=1000";
        const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
        int rc, r;

        rc = sqlite3_open_v2(path, ret, flags, checked_vfs());
        if (rc != SQLITE_OK)
                return error_set(error, sql_error(*ret, rc), "cannot open %s: %s", path, sqlite3_errstr(rc));
        r = execute(*ret, pragmas);
        return r < 0 ? error_set(error, r, "cannot read %s: %s", path, sqlite3_errmsg(*ret)) : 0;
}

/* A process that was killed before a sync, or whose sync failed, leaves a log of SQLite that the kernel
 * shows, and that the disk does not have, or has otherwise. It is copied to the tables from here on: if a
 * loss of power brought an older log back, that would be copied over them. */
static int rewrite_log(const char *path, Error *error)
{
        _cleanup_free_ char *log = str_format("%s-wal", path);
        DiskFile *file = NULL;
        int r;

        if (!log)
                return -ENOMEM;
        if (!disk_exists(log))
                return 0;
        r = disk_open(log, &file);
        if (r >= 0)
                r = disk_rewrite(file, UINT64_MAX);
        disk_close(file);
        if (r >= 0)
                r = disk_sync_directory(log);
        return r < 0 ? error_set(error, r, "cannot write %s: %s", log, strerror(-r)) : 0;
}

/* A process that was killed between a write and its sync leaves commits that we see, but that a loss of
 * power, or a sync that fails, would take back. Everybody counts on them from here on, and SQLite appends to
 * them, so they must be durable. If the disk is too full for the tables, SQLite's own log has been synced
 * before. */
static int make_durable(sqlite3 *sql, const char *path, Error *error)
{
        int rc = sqlite3_wal_checkpoint_v2(sql, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        int r = sql_error(sql, rc);

        if (r >= 0 || r == -ENOSPC)
                return 0;
        return error_set(
                        error, r, "cannot write the log of %s to its tables: %s", path, sqlite3_errmsg(sql));
}

/* After a sync that failed, the log may have its old content again. Then the checkpoint that ends a
 * connection would copy that to the tables, without a look at the checksums. The next start looks at them.
 */
static void close_as_after_crash(sqlite3 *sql)
{
        if (sql)
                (void) sqlite3_db_config(sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        sql_close(sql);
}

/* SQLite's log was not closed in order, and is gone. Most probably another program (sqlite3) has opened the
 * database, which copies the log to the tables: then the checksums of the tables are wrong. */
static int go_on_without_log(const char *path, const char *log, Damage *damage)
{
        _cleanup_free_ char *sums = str_format("%s.sums", path);

        if (!sums)
                return -ENOMEM;
        damage_add(damage, "%s is gone (if another program has opened the database, it has all of it)", log);
        disk_remove(sums);
        return disk_sync_directory(sums);
}

/* Before SQLite reads its own log. */
static int check_log(const char *path, bool *ret_crashed, Damage *damage, Error *error)
{
        _cleanup_free_ char *log = str_format("%s-wal", path);
        WalLook look;
        int r = log ? wal_look(path, log, &look) : -ENOMEM;

        if (r < 0)
                return error_set(error, r, "cannot read %s-wal and %s.sums: %s", path, path, strerror(-r));
        *ret_crashed = look.exists;
        damage_look(damage, path);
        damage_look(damage, log);
        if (look.torn)
                damage_minor(damage, log);
        switch (look.verdict) {
        case WAL_WHOLE:
                break;
        case WAL_CUT:
                if (!look.exists) {
                        *ret_crashed = true;
                        return go_on_without_log(path, log, damage);
                }
                (void) damage_keep(damage, log);
                damage_add(damage, "the last %" PRIu64 " bytes of %s are lost", look.lost, log);
                break;
        case WAL_REDUNDANT:
                /* If it came back, its intact part would be copied over newer tables. */
                disk_remove(log);
                r = disk_sync_directory(log);
                return r < 0 ? error_set(error, r, "cannot remove %s: %s", log, strerror(-r)) : 0;
        case WAL_HOPELESS:
                return error_set(error, -EUCLEAN, "%s is damaged, and %s has a part of it only", log, path);
        }
        return 0;
}

/* Reads all pages, as far as the time suffices. */
static int check_tables(sqlite3 *sql, const char *path, Error *error)
{
        sqlite3_stmt *s = NULL;
        int rc, r = 0;

        checked_vfs_set_limit(sql, usec_add(now_usec(CLOCK_MONOTONIC), CHECK_USEC));
        rc = sqlite3_prepare_v2(sql, "PRAGMA quick_check(1)", -1, &s, NULL);
        if (rc == SQLITE_OK)
                rc = sqlite3_step(s);
        if (rc == SQLITE_ROW && !str_equal((const char *) sqlite3_column_text(s, 0), "ok"))
                r = error_set(error, -EUCLEAN, "the tables of %s are damaged: %s", path,
                                (const char *) sqlite3_column_text(s, 0));
        else if (rc != SQLITE_INTERRUPT)
                r = sql_error(sql, rc);
        (void) sqlite3_finalize(s);
        checked_vfs_set_limit(sql, 0);
        return r;
}

/* Before SQLite's log is copied to the tables: from then on its damage is no loss any more. */
static int run_on_loss(sqlite3 *sql, const char *path, const char *on_loss, Error *error)
{
        int r = user_version(sql) > 0 ? sql_run_text(sql, on_loss) : 0;

        return r < 0 ? error_set(error, r, "cannot write %s: %s", path, sqlite3_errmsg(sql)) : 0;
}

static int open_and_check(const char *path, const char *const *migrations, const char *on_loss,
                sqlite3 **ret, Damage *damage, Error *error)
{
        bool crashed = false;
        int r;

        r = create(path, error);
        if (r >= 0)
                r = rewrite_log(path, error);
        if (r >= 0)
                r = check_log(path, &crashed, damage, error);
        if (r >= 0)
                r = open_database(path, ret, error);
        if (r >= 0 && damage->found && on_loss)
                r = run_on_loss(*ret, path, on_loss, error);
        if (r >= 0)
                r = make_durable(*ret, path, error);
        if (r >= 0 && crashed)
                r = check_tables(*ret, path, error);
        return r < 0 ? r : migrate(*ret, path, migrations, error);
}

int sql_open(const char *path, const char *const *migrations, const char *on_loss, sqlite3 **ret,
                Damage *damage, Error *error)
{
        sqlite3 *sql = NULL;
        int r = open_and_check(path, migrations, on_loss, &sql, damage, error);
        const uint64_t page = checked_vfs_bad_page(sql);

        if (r < 0 && page > 0)
                r = error_set(error, -EUCLEAN, "page %" PRIu64 " of %s is damaged", page, path);
        if (r < 0) {
                close_as_after_crash(sql);
                return r;
        }
        *ret = sql;
        return 0;
}

void sql_close(sqlite3 *sql)
{
        sqlite3_stmt *s;

        while (sql && (s = sqlite3_next_stmt(sql, NULL)))
                (void) sqlite3_finalize(s);
        (void) sqlite3_close(sql);
}
