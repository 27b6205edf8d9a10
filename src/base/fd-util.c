/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/fd-util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

int close_clear(int *fd)
{
        int saved = errno;

        if (*fd >= 0) {
                (void) close(*fd);
                *fd = -1;
        }
        errno = saved;
        return 0;
}

static int fd_change_flag(int fd, int get, int set, int flag, bool on)
{
        int flags = fcntl(fd, get);
        if (flags < 0)
                return -errno;

        int wanted = on ? flags | flag : flags & ~flag;
        if (wanted != flags && fcntl(fd, set, wanted) < 0)
                return -errno;
        return 0;
}

int fd_set_nonblock(int fd, bool nonblock)
{
        return fd_change_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, nonblock);
}

int fd_set_cloexec(int fd, bool cloexec)
{
        return fd_change_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, cloexec);
}

int write_all(int fd, const void *data, size_t n)
{
        const char *p = data;

        while (n > 0) {
                ssize_t k = write(fd, p, n);
                if (k < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                p += k;
                n -= (size_t) k;
        }
        return 0;
}

int read_all(int fd, size_t max, char **ret, size_t *ret_size)
{
        _cleanup_free_ char *data = NULL;
        size_t size = 0, allocated = 0;

        for (;;) {
                if (size + 1 >= allocated) {
                        size_t want = allocated ? allocated * 2 : 4096;
                        char *grown = realloc(data, want);
                        if (!grown)
                                return -ENOMEM;
                        data = grown;
                        allocated = want;
                }

                ssize_t k = read(fd, data + size, allocated - size - 1);
                if (k < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                if (k == 0)
                        break;
                size += (size_t) k;
                if (size > max)
                        return -EFBIG;
        }

        data[size] = '\0';
        *ret = TAKE_PTR(data);
        if (ret_size)
                *ret_size = size;
        return 0;
}

int read_file(const char *path, size_t max, char **ret, size_t *ret_size)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -errno;
        return read_all(fd, max, ret, ret_size);
}

int fsync_directory_of(const char *path)
{
        _cleanup_free_ char *directory = strdup(path);
        if (!directory)
                return -ENOMEM;

        char *slash = strrchr(directory, '/');
        if (slash)
                slash[slash == directory ? 1 : 0] = '\0';

        _cleanup_close_ int fd = open(slash ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        return fsync(fd) < 0 ? -errno : 0;
}

int write_file_synced(const char *path, const void *data, size_t n, mode_t mode)
{
        char temporary[PATH_MAX];
        int r;

        if ((size_t) snprintf(temporary, sizeof temporary, "%s.new", path) >= sizeof temporary)
                return -ENAMETOOLONG;

        _cleanup_close_ int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
        if (fd < 0)
                return -errno;

        r = write_all(fd, data, n);
        if (r >= 0 && fsync(fd) < 0)
                r = -errno;
        if (r >= 0 && rename(temporary, path) < 0)
                r = -errno;
        if (r < 0) {
                (void) unlink(temporary);
                return r;
        }
        return fsync_directory_of(path);
}

int mkdir_parents(const char *path, mode_t mode)
{
        char part[PATH_MAX];
        size_t n = strlen(path);

        if (n == 0 || n >= sizeof part)
                return n == 0 ? -EINVAL : -ENAMETOOLONG;
        memcpy(part, path, n + 1);

        for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                if (mkdir(part, mode) < 0 && errno != EEXIST)
                        return -errno;
                *slash = '/';
        }
        if (mkdir(part, mode) < 0 && errno != EEXIST)
                return -errno;
        return 0;
}

void fd_open_standard(void)
{
        int fd;

        do /* open() returns the lowest number that is free */
                fd = open("/dev/null", O_RDWR);
        while (fd >= 0 && fd <= STDERR_FILENO);
        if (fd >= 0)
                (void) close(fd);
}

void fd_raise_limit(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        limit.rlim_cur = limit.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &limit);
}

unsigned fd_limit(void)
{
        struct rlimit limit;

        return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? 1024
                                                    : (unsigned) MIN(limit.rlim_cur, (rlim_t) UINT_MAX);
}
