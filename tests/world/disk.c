/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/str-util.h"
#include "base/time-util.h"
#include "world/disk-inside.h"

#define LOCK_INTERVAL_USEC (20 * USEC_PER_MSEC) /* as the real one */
#define HANG_INTERVAL_USEC (5 * USEC_PER_MSEC)  /* so often we look whether the disk still hangs */
#define FD_FILES           (1 << 28)

/* Time passes and processes die outside of HOST_SCOPE only. Between such a point and the next nothing else
 * runs. */

typedef enum Fate { DONE, FAILED, CUT_OFF } Fate;

static bool is_stale(const DiskFile *f)
{
        return f->disk->crashed || f->generation != f->disk->generation;
}

static void pass_time(const Disk *d, DiskCall call)
{
        uint64_t min = d->calls[call].min_usec, max = d->calls[call].max_usec;

        while (d->hangs && process_current())
                thread_pause(HANG_INTERVAL_USEC);
        if (max > 0)
                thread_pause(world_random_between(min, max));
}

static bool fails(Disk *d, DiskCall call)
{
        unsigned n = ++d->calls[call].n, at = d->calls[call].fail_at;

        return at > 0 && (n == at || (d->calls[call].fail_all && n > at));
}

/* Counts an operation and decides its fate. *ret_r: the result that the operation must return. */
static Fate count(Disk *d, int *ret_r)
{
        *ret_r = -EIO;
        d->n++;
        if (d->n == d->crash_at) {
                d->crashed = true;
                return CUT_OFF;
        }
        if (d->fail_at > 0 && (d->n == d->fail_at || (d->fail_all && d->n > d->fail_at))) {
                *ret_r = -d->error;
                return FAILED;
        }
        *ret_r = 0;
        return DONE;
}

static Fate begin(const DiskFile *f, DiskCall call, int *ret_r)
{
        *ret_r = -EIO;
        kill_point();
        pass_time(f->disk, call);
        return is_stale(f) ? FAILED : count(f->disk, ret_r);
}

static int end(int r)
{
        kill_point();
        return r;
}

static void change(File *f, uint64_t at, const void *data, size_t n)
{
        HOST_SCOPE;

        file_change(f, at, data, n);
}

static int put_sync(DiskFile *f)
{
        Disk *d = f->disk;
        HOST_SCOPE;

        if (fails(d, DISK_SYNC) || sync_fails()) {
                file_fail_sync(f->file);
                if (world_random(2) == 0)
                        file_evict(f->file);
                return -EIO;
        }
        file_sync(f->file);
        return 0;
}

/* A full disk has room up to the end of the page. */
static size_t room(const DiskFile *f, uint64_t at, size_t n)
{
        size_t limit = (f->file->size + PAGE - 1) / PAGE * PAGE;

        return !f->disk->full || at + n <= f->file->size ? n : at < limit ? MIN(n, limit - at) : 0;
}

/* The process may be killed, and the power may go, when the first pages of a write are there. */
static size_t first_part(const DiskFile *f, size_t n)
{
        return f->disk->machine && n > PAGE ? (size_t) world_random(n / PAGE + 1) * PAGE : 0;
}

static int put_bytes(DiskFile *f, uint64_t at, const uint8_t *data, size_t n)
{
        size_t fitting = room(f, at, n), first = first_part(f, fitting);

        if (fails(f->disk, DISK_WRITE)) {
                change(f->file, at, data, first);
                return -EIO;
        }
        if (first > 0 && first < fitting) {
                change(f->file, at, data, first);
                kill_point();
                if (f->disk->calls[DISK_WRITE].max_usec > 0)
                        thread_pause(f->disk->calls[DISK_WRITE].min_usec);
                if (is_stale(f))
                        return -EIO;
                change(f->file, at + first, data + first, fitting - first);
        } else
                change(f->file, at, data, fitting);
        return fitting < n ? -ENOSPC : 0;
}

static DiskFile *open_handle(const char *path, Disk *d)
{
        HOST_SCOPE;
        DiskFile *f = calloc(1, sizeof *f);

        if (!f)
                abort();
        f->file = path ? name_find(path) : NULL;
        if (!f->file) {
                f->file = file_new(d);
                if (path)
                        name_set(path, f->file, false);
        }
        f->file->n_handles++;
        f->disk = d;
        f->generation = d->generation;
        return f;
}

static void drop(DiskFile *f)
{
        if (f->generation == f->disk->generation) {
                (void) fake_disk_lock(f, LEVEL_NONE);
                if (f->file->locked_by == f)
                        f->file->locked_by = NULL;
                f->file->n_handles--;
                file_unused(f->file);
        }
        free(f);
}

static void reclaim(Owned *o)
{
        HOST_SCOPE;

        owned_remove(o);
        drop(CONTAINER_OF(o, DiskFile, owned));
}

int disk_open(const char *path, DiskFile **ret)
{
        Disk *d = path ? disk_of_path(path) : disk_of_machine(process_machine(process_current()));

        kill_point();
        if (d->crashed || is_refused(path))
                return d->crashed ? -EIO : -EMFILE;
        if (d->full && d->machine && path && !name_find(path) && world_random(2) == 0)
                return -ENOSPC;
        *ret = open_handle(path, d);
        owned_add(&(*ret)->owned, reclaim);
        return end(0);
}

DiskFile *disk_close(DiskFile *f)
{
        if (!f)
                return NULL;
        owned_remove(&f->owned);
        HOST_SCOPE;
        drop(f);
        return NULL;
}

static bool take_lock(DiskFile *f)
{
        File *file = f->file;

        if (file->locked_by == f)
                return true;
        if (file->locked_by || file->n_lock_shares > 0)
                return false;
        file->locked_by = f;
        return true;
}

int disk_lock(DiskFile *f, uint64_t patience_usec)
{
        uint64_t until = usec_add(world_now(), patience_usec);

        kill_point();
        while (is_stale(f) || !take_lock(f)) {
                if (is_stale(f))
                        return -EIO;
                if (!process_current() || world_now() >= until)
                        return -EBUSY;
                thread_pause(LOCK_INTERVAL_USEC);
        }
        return 0;
}

/* No descriptor of the kernel; the number tells files apart. */
int disk_fd(const DiskFile *f)
{
        return FD_FILES + (int) f->file->number;
}

static File *file_of_fd(int fd)
{
        File *f;

        DL_FOREACH(files, f)
                if (FD_FILES + (int) f->number == fd)
                        return f;
        return NULL;
}

void disk_share_lock(int fd)
{
        File *f = file_of_fd(fd);

        if (f)
                f->n_lock_shares++;
}

void disk_unshare_lock(int fd)
{
        File *f = file_of_fd(fd);

        if (f && f->n_lock_shares > 0)
                f->n_lock_shares--;
}

int disk_identity(const DiskFile *f, uint64_t *ret_device, uint64_t *ret_inode)
{
        *ret_device = 1;
        *ret_inode = f->file->inode;
        return 0;
}

int disk_size(const DiskFile *f, uint64_t *ret)
{
        if (is_stale(f))
                return -EIO;
        *ret = f->file->size;
        return 0;
}

/* The memory beyond the end is zero already, so there only the size changes. */
static int put_zeroes(DiskFile *f, uint64_t from, uint64_t to)
{
        static const uint8_t zeroes[FAKE_SECTOR];
        File *file = f->file;
        uint64_t fitting = from + room(f, from, to - from);

        if (fails(f->disk, DISK_WRITE))
                return -EIO;
        for (uint64_t at = from; at < MIN(fitting, file->used); at += FAKE_SECTOR)
                change(file, at, zeroes, MIN(FAKE_SECTOR, fitting - at));
        if (f->disk->machine && fitting > file->size) {
                file->size += (size_t) world_random((fitting - file->size) / PAGE + 1) * PAGE;
                kill_point();
        }
        file->size = MAX(file->size, fitting);
        return fitting < to ? -ENOSPC : 0;
}

int disk_fill(DiskFile *f, uint64_t from, uint64_t to)
{
        int r;

        if (begin(f, DISK_WRITE, &r) == DONE)
                r = put_zeroes(f, from, to);
        return r < 0 ? end(r) : disk_sync(f);
}

int disk_truncate(DiskFile *f, uint64_t size)
{
        int r;

        if (begin(f, DISK_WRITE, &r) == DONE) {
                HOST_SCOPE;
                if (fails(f->disk, DISK_WRITE))
                        r = -EIO;
                else
                        file_truncate(f->file, size);
        }
        return end(r);
}

/* A write that is cut off by a loss of power changes all; what follows decides which sectors survive. */
int disk_write(DiskFile *f, uint64_t at, const void *data, size_t n)
{
        int r;
        Fate fate = begin(f, DISK_WRITE, &r);

        if (fate == DONE)
                r = put_bytes(f, at, data, n);
        else if (fate == CUT_OFF)
                change(f->file, at, data, n);
        return end(r);
}

int disk_sync(DiskFile *f)
{
        int r;

        sync_point();
        if (begin(f, DISK_SYNC, &r) == DONE)
                r = put_sync(f);
        sync_point();
        return end(r);
}

int disk_rewrite(DiskFile *f, uint64_t size)
{
        int r;

        if (begin(f, DISK_WRITE, &r) == DONE) {
                HOST_SCOPE;
                if (file_is_bad(f->file, 0, size))
                        r = -EUCLEAN;
                else if (fails(f->disk, DISK_WRITE))
                        r = -EIO;
                else
                        file_rewrite(f->file, size);
        }
        return r < 0 ? end(r) : disk_sync(f);
}

int disk_note(DiskFile *f, uint64_t at, const void *data, size_t n)
{
        HOST_SCOPE;

        if (is_stale(f) || note_fails())
                return -EIO;
        if (at + n > f->file->size)
                return -EINVAL;
        change(f->file, at, data, n);
        return 0;
}

int disk_map(DiskFile *f, size_t size, const uint8_t **ret)
{
        if (is_stale(f) || file_is_bad(f->file, 0, size))
                return is_stale(f) ? -EIO : -EUCLEAN;
        *ret = f->file->data;
        return 0;
}

/* The kernel may then forget pages that it takes for clean. */
void disk_release_pages(DiskFile *f)
{
        HOST_SCOPE;

        if (!is_stale(f) && f->file->n_lost > 0 && world_random(2) == 0)
                file_evict(f->file);
}

bool disk_exists(const char *path)
{
        return name_find(path) != NULL;
}

static void unlink_name(const char *path)
{
        HOST_SCOPE;

        name_remove(path);
}

void disk_remove(const char *path)
{
        kill_point();
        if (!disk_of_path(path)->crashed)
                unlink_name(path);
        kill_point();
}

/* After a loss of power each of the two names may be as it was or as it is: more than a file system does. */
int disk_rename(const char *from, const char *to)
{
        int r = -EIO;

        kill_point();
        if (!disk_of_path(to)->crashed) {
                HOST_SCOPE;
                File *f = name_find(from);
                r = f ? 0 : -ENOENT;
                if (f) {
                        name_set(to, f, false);
                        name_remove(from);
                }
        }
        return end(r);
}

int disk_sync_directory(const char *path)
{
        Disk *d = disk_of_path(path);
        int r = -EIO;

        sync_point();
        kill_point();
        pass_time(d, DISK_SYNC);
        if (!d->crashed && count(d, &r) == DONE) {
                HOST_SCOPE;
                r = fails(d, DISK_SYNC) || sync_fails() ? -EIO : 0;
                if (r >= 0)
                        name_sync_directory(path);
        }
        sync_point();
        return end(r);
}

const char *disk_vfs(void)
{
        return fake_vfs();
}

bool fake_disk_has_bytes(const char *path)
{
        const File *f = name_find(path);

        return f && f->size > 0;
}

static int raise_level(DiskFile *f, int level)
{
        File *file = f->file;
        bool others_write = file->writer && file->writer != f;

        if (f->level == LEVEL_NONE) {
                if (others_write && file->writer->level >= LEVEL_PENDING)
                        return -EBUSY;
                file->n_readers++;
                f->level = LEVEL_SHARED;
        }
        if (level == LEVEL_SHARED)
                return 0;
        if (others_write)
                return -EBUSY;
        file->writer = f;
        f->level = level > LEVEL_RESERVED && file->n_readers > 1 ? LEVEL_PENDING : level;
        return f->level < level ? -EBUSY : 0;
}

int fake_disk_lock(DiskFile *f, int level)
{
        if (f->generation != f->disk->generation)
                return 0;
        if (level > f->level)
                return raise_level(f, level);
        if (level <= LEVEL_SHARED && f->file->writer == f)
                f->file->writer = NULL;
        if (level == LEVEL_NONE && f->level > LEVEL_NONE)
                f->file->n_readers--;
        f->level = level;
        return 0;
}

bool fake_disk_is_reserved(const DiskFile *f)
{
        return f->generation == f->disk->generation && f->file->writer;
}
