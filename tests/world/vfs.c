/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world/vfs.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world/disk.h"

typedef struct VfsFile {
        sqlite3_file base;
        DiskFile *file;
        char *remove_at_close;
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

        disk_close(v->file);
        if (v->remove_at_close)
                disk_remove(v->remove_at_close);
        free(v->remove_at_close);
        return SQLITE_OK;
}

static int vfs_read(sqlite3_file *f, void *ret, int n, sqlite3_int64 at)
{
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

static int vfs_sync(sqlite3_file *f, int flags)
{
        return code(disk_sync(disk_file(f)), SQLITE_IOERR_FSYNC);
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
        return SQLITE_OK;
}

static int vfs_check_lock(sqlite3_file *f, int *ret)
{
        *ret = 0;
        return SQLITE_OK;
}

static int vfs_control(sqlite3_file *f, int what, void *argument)
{
        return SQLITE_NOTFOUND;
}

static int vfs_sector(sqlite3_file *f)
{
        return FAKE_SECTOR;
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
                        .xUnlock = vfs_lock,
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
                v->remove_at_close = strdup(path);
        v->base.pMethods = &methods;
        if (ret_flags)
                *ret_flags = flags;
        return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
        if (fake_disk_is_crashed())
                return SQLITE_IOERR_DELETE;
        if (!disk_exists(path))
                return SQLITE_IOERR_DELETE_NOENT;
        disk_remove(path);
        return SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret)
{
        *ret = disk_exists(path);
        return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int n, char *ret)
{
        return snprintf(ret, (size_t) n, "%s", path) < n ? SQLITE_OK : SQLITE_CANTOPEN;
}

/* Returns the same numbers in every run. */
static int vfs_random(sqlite3_vfs *vfs, int n, char *ret)
{
        static unsigned char next;

        for (int i = 0; i < n; i++)
                ret[i] = (char) (next += 73);
        return n;
}

static int vfs_sleep(sqlite3_vfs *vfs, int usec)
{
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

const char *fake_vfs(void)
{
        static sqlite3_vfs vfs = {
                        .iVersion = 1,
                        .szOsFile = sizeof(VfsFile),
                        .mxPathname = 512,
                        .zName = "fake",
                        .xOpen = vfs_open,
                        .xDelete = vfs_delete,
                        .xAccess = vfs_access,
                        .xFullPathname = vfs_full_path,
                        .xRandomness = vfs_random,
                        .xSleep = vfs_sleep,
                        .xCurrentTime = vfs_time,
                        .xGetLastError = vfs_last_error,
        };

        if (!sqlite3_vfs_find("fake"))
                (void) sqlite3_vfs_register(&vfs, 0);
        return "fake";
}
