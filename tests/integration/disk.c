/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A library to preload: a disk that the test holds up, or fills. While $DISK_DIRECTORY/held is there no sync
 * ends, and one that waits for that makes $DISK_DIRECTORY/waiting; while $DISK_DIRECTORY/full is there no
 * file of SQLite's grows, but what was allocated before can be written, as on a real one. */

#undef _FILE_OFFSET_BITS /* both names of each call are ours */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int fsync(int fd);
int fdatasync(int fd);
ssize_t pwrite(int fd, const void *data, size_t n, off_t at);
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at);

static bool path_of(const char *flag, char *path, size_t size)
{
        const char *directory = getenv("DISK_DIRECTORY");

        return directory && snprintf(path, size, "%s/%s", directory, flag) < (int) size;
}

static bool is_there(const char *flag)
{
        char path[4096];

        return path_of(flag, path, sizeof path) && access(path, F_OK) == 0;
}

static void wait_until_let_go(void)
{
        char path[4096];

        if (!is_there("held") || !path_of("waiting", path, sizeof path))
                return;
        (void) close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        while (is_there("held"))
                (void) usleep(1000);
        (void) unlink(path);
}

static bool grows_in_vain(int fd)
{
        char link[64], path[4096];

        if (!is_there("full"))
                return false;
        (void) snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, path, sizeof path - 1);
        if (n < 4)
                return false;
        path[n] = '\0';
        return strcmp(path + n - 4, "-wal") == 0;
}

int fsync(int fd)
{
        wait_until_let_go();
        return (int) syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
        wait_until_let_go();
        return (int) syscall(SYS_fdatasync, fd);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at)
{
        if (grows_in_vain(fd)) {
                errno = ENOSPC;
                return -1;
        }
        return syscall(SYS_pwrite64, fd, data, n, at);
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
        return pwrite64(fd, data, n, at);
}
