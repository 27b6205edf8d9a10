/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/time-util.h"

#define LOCK_INTERVAL_USEC (20 * USEC_PER_MSEC)

struct DiskFile {
        int fd;
        void *map; /* NULL: not mapped */
        size_t mapped;
};

int disk_open(const char *path, DiskFile **ret)
{
        DiskFile *f = calloc(1, sizeof *f);
        if (!f)
                return -ENOMEM;

        f->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (f->fd < 0) {
                int r = -errno;
                free(f);
                return r;
        }
        *ret = f;
        return 0;
}

DiskFile *disk_close(DiskFile *f)
{
        if (!f)
                return NULL;
        if (f->map)
                (void) munmap(f->map, f->mapped);
        (void) close(f->fd);
        free(f);
        return NULL;
}

int disk_lock(DiskFile *f, uint64_t patience_usec)
{
        uint64_t until = usec_add(now_usec(CLOCK_BOOTTIME), patience_usec);

        while (flock(f->fd, LOCK_EX | LOCK_NB) < 0) {
                if (errno != EWOULDBLOCK)
                        return -errno;
                if (now_usec(CLOCK_BOOTTIME) >= until)
                        return -EBUSY;
                (void) usleep(LOCK_INTERVAL_USEC);
        }
        return 0;
}

int disk_fd(const DiskFile *f)
{
        return f->fd;
}

int disk_identity(const DiskFile *f, uint64_t *ret_device, uint64_t *ret_inode)
{
        struct stat st;

        if (fstat(f->fd, &st) < 0)
                return -errno;
        *ret_device = st.st_dev;
        *ret_inode = st.st_ino;
        return 0;
}

int disk_size(const DiskFile *f, uint64_t *ret)
{
        struct stat st;

        if (fstat(f->fd, &st) < 0)
                return -errno;
        *ret = (uint64_t) st.st_size;
        return 0;
}

int disk_fill(DiskFile *f, uint64_t from, uint64_t to)
{
        static const uint8_t zeroes[65536];

        for (uint64_t at = from; at < to; at += sizeof zeroes) {
                int r = disk_write(f, at, zeroes, MIN((size_t) (to - at), sizeof zeroes));
                if (r < 0)
                        return r;
        }
        return fsync(f->fd) < 0 ? -errno : 0;
}

int disk_truncate(DiskFile *f, uint64_t size)
{
        return ftruncate(f->fd, (off_t) size) < 0 ? -errno : 0;
}

/* What the disk cannot read now, it cannot read later. */
static int read_error(void)
{
        return errno == EIO ? -EUCLEAN : -errno;
}

int disk_read(const DiskFile *f, uint64_t at, void *ret, size_t n)
{
        for (size_t done = 0; done < n;) {
                ssize_t k = pread(f->fd, (uint8_t *) ret + done, n - done, (off_t) (at + done));
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return read_error();
                if (k == 0) {
                        memset((uint8_t *) ret + done, 0, n - done);
                        break;
                }
                done += (size_t) k;
        }
        return 0;
}

int disk_write(DiskFile *f, uint64_t at, const void *data, size_t n)
{
        for (size_t done = 0; done < n;) {
                ssize_t k = pwrite(f->fd, (const uint8_t *) data + done, n - done, (off_t) (at + done));
                if (k < 0 && errno == EINTR)
                        continue;
                if (k <= 0)
                        return k < 0 ? -errno : -EIO;
                done += (size_t) k;
        }
        return 0;
}

int disk_sync(DiskFile *f)
{
        return fdatasync(f->fd) < 0 ? -errno : 0;
}

int disk_rewrite(DiskFile *f, uint64_t size)
{
        uint8_t block[65536];
        ssize_t n;
        int r = 0;

        for (uint64_t at = 0; r >= 0; at += (uint64_t) n) {
                n = pread(f->fd, block, (size_t) MIN(size - at, sizeof block), (off_t) at);
                if (n < 0 && errno == EINTR)
                        n = 0;
                else if (n <= 0)
                        return n < 0 ? read_error() : disk_sync(f);
                else
                        r = disk_write(f, at, block, (size_t) n);
        }
        return r;
}

int disk_note(DiskFile *f, uint64_t at, const void *data, size_t n)
{
        return disk_write(f, at, data, n);
}

int disk_map(DiskFile *f, size_t size, const uint8_t **ret)
{
        uint8_t block[65536];

        for (size_t at = 0; at < size; at += sizeof block) {
                int r = disk_read(f, at, block, MIN(size - at, sizeof block));
                if (r < 0)
                        return r;
        }

        void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, f->fd, 0);

        if (map == MAP_FAILED)
                return -errno;
        if (f->map)
                (void) munmap(f->map, f->mapped);
        f->map = map;
        f->mapped = size;
        *ret = map;
        return 0;
}

void disk_release_pages(DiskFile *f)
{
        (void) madvise(f->map, f->mapped, MADV_DONTNEED);
}

bool disk_exists(const char *path)
{
        return access(path, F_OK) == 0;
}

void disk_remove(const char *path)
{
        (void) unlink(path);
}

int disk_rename(const char *from, const char *to)
{
        return rename(from, to) < 0 ? -errno : 0;
}

int disk_sync_directory(const char *path)
{
        return fsync_directory_of(path);
}

const char *disk_vfs(void)
{
        return NULL;
}
