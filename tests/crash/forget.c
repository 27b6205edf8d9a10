/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A library to preload: at abort() the files below $FORGET_DIRECTORY become what a loss of power would
 * leave, that is, everything that was not synced is taken back, and then the process is killed. A kill alone
 * leaves the page cache, so that a missing sync would go unseen.
 *
 * Before a write the bytes that it replaces are kept; a sync forgets them. New files are unlinked unless
 * their directory was synced. With $FORGET_LIES=1 a sync does nothing: then things must go wrong, which
 * shows that this works. Memory that is mapped (the -shm file of SQLite, rebuilt at the next start) is left
 * alone. */

#undef _FILE_OFFSET_BITS /* both names of each call are ours */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILES_MAX 1024

typedef struct Undo Undo;
struct Undo {
        off_t offset, size_before; /* of the file */
        size_t n;
        Undo *next; /* the one before */
        char data[];
};

/* By device and inode, since one file may have several descriptors. */
typedef struct File {
        dev_t device;
        ino_t inode;
        int fd; /* of our own */
        bool created;
        char path[512];
        Undo *undo;
} File;

static File files[FILES_MAX];
static size_t n_files;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void take_lock(void)
{
        pthread_mutex_lock(&lock);
}

static void give_lock(void)
{
        pthread_mutex_unlock(&lock);
}

/* A new process has one thread only: a lock that another one held at the fork would be held there for ever,
 * and a handler would never begin. */
__attribute__((constructor)) static void be_free_in_children(void)
{
        (void) pthread_atfork(take_lock, give_lock, give_lock);
}

static bool is_below(const char *path)
{
        const char *directory = getenv("FORGET_DIRECTORY");

        return directory && strncmp(path, directory, strlen(directory)) == 0;
}

static File *find(int fd)
{
        struct stat st;

        if (n_files == 0 || fstat(fd, &st) < 0)
                return NULL;
        for (size_t i = 0; i < n_files; i++)
                if (files[i].device == st.st_dev && files[i].inode == st.st_ino)
                        return files + i;
        return NULL;
}

static void track(int fd, const char *path, bool created)
{
        struct stat st;
        File *f;

        pthread_mutex_lock(&lock);
        f = find(fd);
        if (!f && n_files < FILES_MAX && fstat(fd, &st) >= 0 && S_ISREG(st.st_mode)) {
                f = files + n_files++;
                f->device = st.st_dev;
                f->inode = st.st_ino;
                f->fd = (int) syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
                f->created = created;
                (void) snprintf(f->path, sizeof f->path, "%s", path);
        }
        pthread_mutex_unlock(&lock);
}

static int open_tracked(int at, const char *path, int flags, mode_t mode)
{
        bool wanted = at == AT_FDCWD && is_below(path) && (flags & O_ACCMODE) != O_RDONLY;
        bool created = wanted && (flags & O_CREAT) && syscall(SYS_faccessat, AT_FDCWD, path, F_OK) < 0;
        int fd = (int) syscall(SYS_openat, at, path, flags, mode);

        if (fd >= 0 && wanted)
                track(fd, path, created);
        return fd;
}

#define MODE(flags, mode)                                                                                   \
        mode_t mode = 0;                                                                                    \
        if ((flags) & (O_CREAT | __O_TMPFILE)) {                                                            \
                va_list ap;                                                                                 \
                va_start(ap, flags);                                                                        \
                mode = va_arg(ap, mode_t);                                                                  \
                va_end(ap);                                                                                 \
        }

int open(const char *path, int flags, ...)
{
        MODE(flags, mode)
        return open_tracked(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
        MODE(flags, mode)
        return open_tracked(AT_FDCWD, path, flags, mode);
}

/* Keeps what lies in [offset, offset + n). */
static void keep(File *f, off_t offset, size_t n)
{
        struct stat st;
        Undo *u = malloc(sizeof *u + n);

        if (!u || fstat(f->fd, &st) < 0)
                syscall(SYS_exit_group, 99);
        ssize_t k = offset < st.st_size ? syscall(SYS_pread64, f->fd, u->data, n, offset) : 0;
        u->offset = offset;
        u->size_before = st.st_size;
        u->n = k > 0 ? (size_t) k : 0;
        u->next = f->undo;
        f->undo = u;
}

static ssize_t pwrite_kept(int fd, const void *data, size_t n, off_t offset)
{
        File *f;
        ssize_t r;

        pthread_mutex_lock(&lock);
        f = find(fd);
        if (f)
                keep(f, offset, n);
        r = syscall(SYS_pwrite64, fd, data, n, offset);
        pthread_mutex_unlock(&lock);
        return r;
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t offset)
{
        return pwrite_kept(fd, data, n, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t offset)
{
        return pwrite_kept(fd, data, n, offset);
}

ssize_t write(int fd, const void *data, size_t n)
{
        File *f;
        ssize_t r;

        pthread_mutex_lock(&lock);
        f = find(fd);
        if (f)
                keep(f, lseek(fd, 0, SEEK_CUR), n);
        r = syscall(SYS_write, fd, data, n);
        pthread_mutex_unlock(&lock);
        return r;
}

static int truncate_kept(int fd, off_t size)
{
        struct stat st;
        File *f;
        int r;

        pthread_mutex_lock(&lock);
        f = find(fd);
        if (f && fstat(f->fd, &st) >= 0)
                keep(f, size, st.st_size > size ? (size_t) (st.st_size - size) : 0);
        r = (int) syscall(SYS_ftruncate, fd, size);
        pthread_mutex_unlock(&lock);
        return r;
}

int ftruncate(int fd, off_t size)
{
        return truncate_kept(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
        return truncate_kept(fd, size);
}

static void forget_undo(File *f)
{
        while (f->undo) {
                Undo *next = f->undo->next;
                free(f->undo);
                f->undo = next;
        }
}

static int synced(int fd, long number)
{
        const char *lies = getenv("FORGET_LIES");
        struct stat st;
        int r;

        pthread_mutex_lock(&lock);
        r = (int) syscall(number, fd);
        if (r >= 0 && !(lies && lies[0] == '1')) {
                File *f = find(fd);
                if (f)
                        forget_undo(f);
                if (fstat(fd, &st) >= 0 && S_ISDIR(st.st_mode))
                        for (size_t i = 0; i < n_files; i++)
                                files[i].created = false;
        }
        pthread_mutex_unlock(&lock);
        return r;
}

int fsync(int fd)
{
        return synced(fd, SYS_fsync);
}

int fdatasync(int fd)
{
        return synced(fd, SYS_fdatasync);
}

void abort(void)
{
        /* Held for ever: nobody writes any more. */
        pthread_mutex_lock(&lock);
        for (size_t i = 0; i < n_files; i++) {
                File *f = files + i;
                for (const Undo *u = f->undo; u; u = u->next) {
                        if (u->n > 0)
                                (void) !syscall(SYS_pwrite64, f->fd, u->data, u->n, u->offset);
                        (void) !syscall(SYS_ftruncate, f->fd, u->size_before);
                }
                if (f->created)
                        (void) syscall(SYS_unlink, f->path);
        }
        (void) kill(getpid(), SIGKILL);
        for (;;)
                (void) pause();
}
