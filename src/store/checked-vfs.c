/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/checked-vfs.h"

#include <string.h>

#include "base/time-util.h"
#include "store/disk.h"
#include "store/page-sums.h"

#define VFS_NAME   "ackgroup"
#define WAL_HEADER 32u
#define WAL_SALT   16u /* where in the header */
#define WAL_SIZE   4u  /* where in the header of a frame; not 0: this frame is the last one of a commit */
#define FRAME      24u /* the header of a frame */

typedef struct CheckedFile CheckedFile;
struct CheckedFile {
        sqlite3_file base;
        sqlite3_file *real; /* stands behind this struct */
        bool is_database;
        PageSums *sums;        /* of a database */
        CheckedFile *database; /* of a log; NULL: of another file */
        uint64_t committed;    /* of a log: where the last commit ends that was written; 0: none */
        uint64_t bad_page;
        sqlite3 *limited; /* NULL: not */
        uint64_t until;   /* its limit */
};

static CheckedFile *checked(sqlite3_file *f)
{
        return (CheckedFile *) (void *) f;
}

static sqlite3_file *real(sqlite3_file *f)
{
        return checked(f)->real;
}

static int on_close(sqlite3_file *f)
{
        CheckedFile *c = checked(f);
        int rc = c->real->pMethods->xClose(c->real);

        c->sums = page_sums_close(c->sums);
        return rc;
}

static bool is_page(const CheckedFile *c, int n, sqlite3_int64 at)
{
        return c->is_database && n == (int) PAGE_SIZE && at % (int) PAGE_SIZE == 0;
}

static int on_read(sqlite3_file *f, void *ret, int n, sqlite3_int64 at)
{
        CheckedFile *c = checked(f);
        int rc = c->real->pMethods->xRead(c->real, ret, n, at);

        if (c->limited && now_usec(CLOCK_MONOTONIC) >= c->until)
                sqlite3_interrupt(c->limited);

        if (rc != SQLITE_OK || !is_page(c, n, at) ||
                        page_sums_agree(c->sums, (uint64_t) at / PAGE_SIZE, ret))
                return rc;
        c->bad_page = (uint64_t) at / PAGE_SIZE + 1;
        return SQLITE_IOERR_DATA;
}

static void set_state(PageSums *sums, WalState state)
{
        WalNote note = *page_sums_note(sums);

        if (note.state == state)
                return;
        note.state = state;
        page_sums_set_note(sums, &note);
}

/* A log begins with a header of its own. If it goes on behind what is in the tables, a part of it is there.
 */
static void note_log_write(CheckedFile *c, const void *data, int n, sqlite3_int64 at)
{
        PageSums *sums = c->database->sums;

        static const uint8_t none[4];

        if (n == (int) FRAME && memcmp((const uint8_t *) data + WAL_SIZE, none, sizeof none) != 0)
                c->committed = (uint64_t) at + FRAME + PAGE_SIZE;
        if (at == 0 && n == (int) WAL_HEADER) {
                WalNote note = {.state = WAL_NEEDED};
                memcpy(note.salt, (const uint8_t *) data + WAL_SALT, sizeof note.salt);
                page_sums_set_note(sums, &note);
                c->committed = 0;
        } else if (page_sums_note(sums)->state == WAL_COPIED)
                set_state(sums, WAL_MIXED);
}

static int on_write(sqlite3_file *f, const void *data, int n, sqlite3_int64 at)
{
        CheckedFile *c = checked(f);
        int rc;

        if (c->database)
                note_log_write(c, data, n, at);
        if (c->is_database && page_sums_note(c->sums)->state == WAL_NEEDED)
                set_state(c->sums, WAL_MIXED);
        if (is_page(c, n, at) && page_sums_set(c->sums, (uint64_t) at / PAGE_SIZE, data) < 0)
                return SQLITE_IOERR_WRITE;
        rc = c->real->pMethods->xWrite(c->real, data, n, at);
        if (rc != SQLITE_OK)
                c->committed = 0;
        return rc;
}

static int on_truncate(sqlite3_file *f, sqlite3_int64 size)
{
        const CheckedFile *c = checked(f);
        int rc = c->real->pMethods->xTruncate(c->real, size);

        if (rc == SQLITE_OK && c->is_database)
                page_sums_cut(c->sums, ((uint64_t) size + PAGE_SIZE - 1) / PAGE_SIZE);
        return rc;
}

static void note_log_sync(const CheckedFile *c)
{
        WalNote note = *page_sums_note(c->database->sums);

        if (c->committed == 0 || c->committed == note.synced)
                return;
        note.synced = c->committed;
        page_sums_set_note(c->database->sums, &note);
}

/* SQLite syncs the tables when all of its log is in them. From then on the log may be overwritten. */
static int on_sync(sqlite3_file *f, int flags)
{
        CheckedFile *c = checked(f);
        int rc = c->real->pMethods->xSync(c->real, flags);

        if (rc != SQLITE_OK)
                c->committed = 0; /* it will be written once more, or it never was */
        else if (c->database)
                note_log_sync(c);
        if (rc != SQLITE_OK || !c->is_database)
                return rc;
        if (page_sums_note(c->sums)->state != WAL_NEEDED)
                set_state(c->sums, WAL_COPIED);
        return page_sums_sync(c->sums) < 0 ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int on_size(sqlite3_file *f, sqlite3_int64 *ret)
{
        return real(f)->pMethods->xFileSize(real(f), ret);
}

static int on_lock(sqlite3_file *f, int level)
{
        return real(f)->pMethods->xLock(real(f), level);
}

static int on_unlock(sqlite3_file *f, int level)
{
        return real(f)->pMethods->xUnlock(real(f), level);
}

static int on_check_lock(sqlite3_file *f, int *ret)
{
        return real(f)->pMethods->xCheckReservedLock(real(f), ret);
}

static int on_control(sqlite3_file *f, int what, void *argument)
{
        return real(f)->pMethods->xFileControl(real(f), what, argument);
}

static int on_sector_size(sqlite3_file *f)
{
        return real(f)->pMethods->xSectorSize(real(f));
}

static int on_characteristics(sqlite3_file *f)
{
        return real(f)->pMethods->xDeviceCharacteristics(real(f));
}

static sqlite3_vfs *below(sqlite3_vfs *vfs)
{
        return vfs->pAppData;
}

/* Version 1 has no shared memory: the database is opened with an exclusive lock. */
static int on_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags, int *ret_flags)
{
        static const sqlite3_io_methods methods = {
                        .iVersion = 1,
                        .xClose = on_close,
                        .xRead = on_read,
                        .xWrite = on_write,
                        .xTruncate = on_truncate,
                        .xSync = on_sync,
                        .xFileSize = on_size,
                        .xLock = on_lock,
                        .xUnlock = on_unlock,
                        .xCheckReservedLock = on_check_lock,
                        .xFileControl = on_control,
                        .xSectorSize = on_sector_size,
                        .xDeviceCharacteristics = on_characteristics,
        };
        CheckedFile *c = checked(f);

        *c = (CheckedFile){.real = (sqlite3_file *) (void *) (c + 1)};
        int rc = below(vfs)->xOpen(below(vfs), path, c->real, flags, ret_flags);
        if (!c->real->pMethods)
                return rc;
        c->base.pMethods = &methods;
        c->is_database = flags & SQLITE_OPEN_MAIN_DB;
        if (rc == SQLITE_OK && c->is_database && path && page_sums_open(path, &c->sums) < 0)
                return SQLITE_CANTOPEN;
        if (flags & SQLITE_OPEN_WAL)
                c->database = checked(sqlite3_database_file_object(path));
        return rc;
}

static int on_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
        return below(vfs)->xDelete(below(vfs), path, sync);
}

static int on_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret)
{
        return below(vfs)->xAccess(below(vfs), path, flags, ret);
}

static int on_full_path(sqlite3_vfs *vfs, const char *path, int n, char *ret)
{
        return below(vfs)->xFullPathname(below(vfs), path, n, ret);
}

static int on_random(sqlite3_vfs *vfs, int n, char *ret)
{
        return below(vfs)->xRandomness(below(vfs), n, ret);
}

static int on_sleep(sqlite3_vfs *vfs, int usec)
{
        return below(vfs)->xSleep(below(vfs), usec);
}

static int on_time(sqlite3_vfs *vfs, double *ret)
{
        return below(vfs)->xCurrentTime(below(vfs), ret);
}

static int on_last_error(sqlite3_vfs *vfs, int n, char *ret)
{
        return below(vfs)->xGetLastError(below(vfs), n, ret);
}

const char *checked_vfs(void)
{
        static sqlite3_vfs vfs = {
                        .iVersion = 1,
                        .zName = VFS_NAME,
                        .xOpen = on_open,
                        .xDelete = on_delete,
                        .xAccess = on_access,
                        .xFullPathname = on_full_path,
                        .xRandomness = on_random,
                        .xSleep = on_sleep,
                        .xCurrentTime = on_time,
                        .xGetLastError = on_last_error,
        };
        sqlite3_vfs *base = sqlite3_vfs_find(disk_vfs());

        if (!base)
                return NULL;
        if (!vfs.pAppData) {
                vfs.pAppData = base;
                vfs.mxPathname = base->mxPathname;
                vfs.szOsFile = (int) sizeof(CheckedFile) + base->szOsFile;
                (void) sqlite3_vfs_register(&vfs, 0);
        }
        return VFS_NAME;
}

static CheckedFile *file_of(sqlite3 *sql)
{
        sqlite3_file *f = NULL;

        if (!sql || sqlite3_file_control(sql, "main", SQLITE_FCNTL_FILE_POINTER, &f) != SQLITE_OK)
                return NULL;
        return f ? checked(f) : NULL;
}

void checked_vfs_set_limit(sqlite3 *sql, uint64_t until_usec)
{
        CheckedFile *c = file_of(sql);

        if (!c)
                return;
        c->limited = until_usec > 0 ? sql : NULL;
        c->until = until_usec;
}

uint64_t checked_vfs_bad_page(sqlite3 *sql)
{
        const CheckedFile *c = file_of(sql);

        return c ? c->bad_page : 0;
}
