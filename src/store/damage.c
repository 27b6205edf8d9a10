/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/damage.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str-util.h"
#include "store/disk.h"

#define KEPT_MAX 4u
#define CHUNK    65536u
#define SECTOR   512u

void damage_add(Damage *d, const char *format, ...)
{
        const size_t n = strlen(d->text);
        va_list ap;

        d->found = true;
        va_start(ap, format);
        if (n > 0 && n + 2 < sizeof d->text)
                strcpy(d->text + n, "; ");
        const size_t at = strlen(d->text);
        (void) vsnprintf(d->text + at, sizeof d->text - at, format, ap);
        va_end(ap);
}

void damage_minor(Damage *d, const char *path)
{
        const size_t n = strlen(d->minor);

        (void) snprintf(d->minor + n, sizeof d->minor - n, "%s%s was not written to its end",
                        n > 0 ? "; " : "", path);
}

static char *kept_name(const char *path, unsigned i)
{
        return str_format("%s.damaged-%u", path, i);
}

static void read_sectors(const DiskFile *f, uint64_t at, uint8_t *ret, size_t n)
{
        for (size_t i = 0; i < n; i += SECTOR)
                if (disk_read(f, at + i, ret + i, MIN(n - i, SECTOR)) < 0)
                        memset(ret + i, 0, MIN(n - i, SECTOR));
}

int damage_copy(const char *from, const char *to)
{
        _cleanup_(disk_closep) DiskFile *in = NULL, *out = NULL;
        uint8_t block[CHUNK];
        uint64_t size = 0;
        int r;

        r = disk_open(from, &in);
        if (r >= 0)
                r = disk_size(in, &size);
        if (r >= 0)
                r = disk_open(to, &out);
        for (uint64_t at = 0; r >= 0 && at < size; at += CHUNK) {
                const size_t n = (size_t) MIN(size - at, CHUNK);
                if (disk_read(in, at, block, n) < 0)
                        read_sectors(in, at, block, n);
                r = disk_write(out, at, block, n);
        }
        if (r >= 0)
                r = disk_sync(out);
        return r < 0 ? r : disk_sync_directory(to);
}

int damage_keep(Damage *d, const char *path)
{
        for (unsigned i = 1; i <= KEPT_MAX; i++) {
                _cleanup_free_ char *name = kept_name(path, i);

                if (!name)
                        return -ENOMEM;
                if (disk_exists(name) && i < KEPT_MAX)
                        continue;
                disk_remove(name);
                (void) snprintf(d->kept, sizeof d->kept, "%s", name);
                return damage_copy(path, name);
        }
        return 0;
}

/* Once a file has this name, it is the database. */
static char *salvaged_name(const char *path)
{
        return str_format("%s.salvaged", path);
}

int damage_finish_salvage(const char *path)
{
        _cleanup_free_ char *salvaged = salvaged_name(path), *log = str_format("%s-wal", path),
                            *sums = str_format("%s.sums", path);
        int r;

        if (!salvaged || !log || !sums)
                return -ENOMEM;
        if (!disk_exists(salvaged))
                return 0;
        /* SQLite would copy the old log to the new tables. */
        disk_remove(log);
        disk_remove(sums);
        r = disk_sync_directory(path);
        if (r >= 0)
                r = disk_rename(salvaged, path);
        return r < 0 ? r : disk_sync_directory(path);
}

int damage_replace(const char *path, const char *fresh)
{
        _cleanup_free_ char *salvaged = salvaged_name(path);
        int r;

        if (!salvaged)
                return -ENOMEM;
        r = disk_rename(fresh, salvaged);
        if (r >= 0)
                r = disk_sync_directory(salvaged);
        return r < 0 ? r : damage_finish_salvage(path);
}

void damage_look(Damage *d, const char *path)
{
        for (unsigned i = 1; i <= KEPT_MAX; i++) {
                _cleanup_free_ char *name = kept_name(path, i);

                if (name && disk_exists(name) && !d->kept[0])
                        (void) snprintf(d->kept, sizeof d->kept, "%s", name);
        }
}
