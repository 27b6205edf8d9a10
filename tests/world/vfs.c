/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world/vfs.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world/process.h"

#define VFS_NAME    "fake"
#define SECTOR_SIZE 4096 /* as the real VFS says; the disk tears smaller ones */

typedef struct VfsFile {
        sqlite3_file base;
        DiskFile *file;
        const char *new_path; /* perhaps its name is not durable yet; SQLite keeps the text */
} VfsFile;

static DiskFile *disk_file(sqlite3_file *f)
{
        return ((VfsFile *) (void *) f)->file;
}

static int code(int r, int otherwise)
{
        return r >= 0 ? SQLITE_OK : r == -ENOSPC ? SQLITE_FULL : otherwise;
}

static int vfs_close(sqlite3_file *f)
{
        VfsFile *v = (VfsFile *) (void *) f;

        v->file = disk_close(v->file);
        return SQLITE_OK;
}

static unsigned n_reads;

unsigned fake_vfs_reads(void)
{
        return n_reads;
}

static int vfs_read(sqlite3_file *f, void *ret, int n, sqlite3_int64 at)
{
        n_reads++;
        if (fake_disk_read_usec(disk_file(f)) > 0)
                thread_pause(fake_disk_read_usec(disk_file(f)));

        int r = fake_disk_read(disk_file(f), (uint64_t) at, ret, (size_t) n);

        return r < 0 ? SQLITE_IOERR_READ : r < n ? SQLITE_IOERR_SHORT_READ : SQLITE_OK;
}

static int vfs_write(sqlite3_file *f, const void *data, int n, sqlite3_int64 at)
{
        return code(disk_write(disk_file(f), (uint64_t) at, data, (size_t) n), SQLITE_IOERR_WRITE);
}

static int vfs_truncate(sqlite3_file *f, sqlite3_int64 size)
{
        return code(disk_truncate(disk_file(f), (uint64_t) size), SQLITE_IOERR_TRUNCATE);
}

/* As the real VFS does it: the first sync of a journal syncs its directory, too, and ignores its failure. */
static int vfs_sync(sqlite3_file *f, int flags)
{
        VfsFile *v = (VfsFile *) (void *) f;
        int r = disk_sync(v->file);

        if (r >= 0 && v->new_path) {
                (void) disk_sync_directory(v->new_path);
                v->new_path = NULL;
        }
        return code(r, SQLITE_IOERR_FSYNC);
}

static int vfs_size(sqlite3_file *f, sqlite3_int64 *ret)
{
        uint64_t size = 0;
        int r = disk_size(disk_file(f), &size);

        *ret = (sqlite3_int64) size;
        return code(r, SQLITE_IOERR_FSTAT);
}

static int vfs_lock(sqlite3_file *f, int level)
{
        return fake_disk_lock(disk_file(f), level) < 0 ? SQLITE_BUSY : SQLITE_OK;
}

static int vfs_unlock(sqlite3_file *f, int level)
{
        (void) fake_disk_lock(disk_file(f), level);
        return SQLITE_OK;
}

static int vfs_check_lock(sqlite3_file *f, int *ret)
{
        *ret = fake_disk_is_reserved(disk_file(f));
        return SQLITE_OK;
}

static int vfs_control(sqlite3_file *f, int what, void *argument)
{
        return SQLITE_NOTFOUND;
}

static int vfs_sector(sqlite3_file *f)
{
        return SECTOR_SIZE;
}

static int vfs_characteristics(sqlite3_file *f)
{
        return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags, int *ret_flags)
{
        static const sqlite3_io_methods methods = {
                        .iVersion = 1,
                        .xClose = vfs_close,
                        .xRead = vfs_read,
                        .xWrite = vfs_write,
                        .xTruncate = vfs_truncate,
                        .xSync = vfs_sync,
                        .xFileSize = vfs_size,
                        .xLock = vfs_lock,
                        .xUnlock = vfs_unlock,
                        .xCheckReservedLock = vfs_check_lock,
                        .xFileControl = vfs_control,
                        .xSectorSize = vfs_sector,
                        .xDeviceCharacteristics = vfs_characteristics,
        };
        VfsFile *v = (VfsFile *) (void *) f;

        *v = (VfsFile){};
        if (path && !(flags & SQLITE_OPEN_CREATE) && !disk_exists(path))
                return SQLITE_CANTOPEN;
        if (disk_open(path, &v->file) < 0)
                return SQLITE_CANTOPEN;
        if (path && (flags & SQLITE_OPEN_DELETEONCLOSE))
                disk_remove(path);
        else if ((flags & SQLITE_OPEN_CREATE) &&
                        (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL)))
                v->new_path = path;
        v->base.pMethods = &methods;
        if (ret_flags)
                *ret_flags = flags;
        return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
        if (!disk_exists(path))
                return SQLITE_IOERR_DELETE_NOENT;
        disk_remove(path);
        if (disk_exists(path))
                return SQLITE_IOERR_DELETE;
        return sync ? code(disk_sync_directory(path), SQLITE_IOERR_DIR_FSYNC) : SQLITE_OK;
}

/* For SQLite an empty file does not exist: it may be a journal that a crash left. */
static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret)
{
        *ret = fake_disk_has_bytes(path);
        return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int n, char *ret)
{
        return snprintf(ret, (size_t) n, "%s", path) < n ? SQLITE_OK : SQLITE_CANTOPEN;
}

static unsigned char next_random;

/* The same numbers in every run. SQLite asks once, and makes all its random numbers from these. */
static int vfs_random(sqlite3_vfs *vfs, int n, char *ret)
{
        for (int i = 0; i < n; i++)
                ret[i] = (char) (next_random += 73);
        return n;
}

static int vfs_sleep(sqlite3_vfs *vfs, int usec)
{
        thread_pause((uint64_t) usec);
        return usec;
}

static int vfs_time(sqlite3_vfs *vfs, double *ret)
{
        *ret = 2461000.5;
        return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int n, char *ret)
{
        return 0;
}

static bool is_seeded;

void fake_vfs_reset(void)
{
        next_random = 0;
        is_seeded = false;
}

const char *fake_vfs(void)
{
        static sqlite3_vfs vfs = {
                        .iVersion = 1,
                        .szOsFile = sizeof(VfsFile),
                        .mxPathname = 512,
                        .zName = VFS_NAME,
                        .xOpen = vfs_open,
                        .xDelete = vfs_delete,
                        .xAccess = vfs_access,
                        .xFullPathname = vfs_full_path,
                        .xRandomness = vfs_random,
                        .xSleep = vfs_sleep,
                        .xCurrentTime = vfs_time,
                        .xGetLastError = vfs_last_error,
        };

        HOST_SCOPE;

        if (!sqlite3_vfs_find(VFS_NAME))
                (void) sqlite3_vfs_register(&vfs, 1);
        if (!is_seeded)
                sqlite3_randomness(0, NULL);
        is_seeded = true;
        return VFS_NAME;
}
