/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/offspring.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd-util.h"
#include "base/time-util.h"

#define PAUSE_MSEC 2

int offspring_open(Offspring *o)
{
        char path[64];
        const int pid = (int) getpid();

        /* The kernel gives orphans to the first thread. */
        (void) snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
        *o = (Offspring){.fd = open(path, O_RDONLY | O_CLOEXEC)};
        return o->fd < 0 ? -errno : 0;
}

void offspring_close(Offspring *o)
{
        (void) close_clear(&o->fd);
        free(o->pids);
        *o = (Offspring){.fd = -1};
}

static int add(Offspring *o, pid_t pid)
{
        if (o->n == o->allocated) {
                size_t allocated = MAX(2 * o->allocated, 64u);
                pid_t *grown = reallocarray(o->pids, allocated, sizeof *grown);

                if (!grown)
                        return -ENOMEM;
                o->pids = grown;
                o->allocated = allocated;
        }
        o->pids[o->n++] = pid;
        return 0;
}

/* Appends the numbers that can be read. */
static int add_all(Offspring *o, int fd)
{
        char chunk[4096];
        pid_t pid = 0;
        ssize_t n;
        int r = 0;

        while (r >= 0 && (n = read(fd, chunk, sizeof chunk)) != 0) {
                if (n < 0)
                        return -errno;
                for (ssize_t i = 0; i < n && r >= 0; i++)
                        if (chunk[i] >= '0' && chunk[i] <= '9')
                                pid = 10 * pid + (chunk[i] - '0');
                        else if (pid > 0) {
                                r = add(o, pid);
                                pid = 0;
                        }
        }
        return r;
}

int offspring_read(Offspring *o)
{
        o->n = 0;
        return lseek(o->fd, 0, SEEK_SET) < 0 ? -errno : add_all(o, o->fd);
}

bool offspring_has(const Offspring *o, pid_t pid)
{
        for (size_t i = 0; i < o->n; i++)
                if (o->pids[i] == pid)
                        return true;
        return false;
}

/* The children of all threads of a process. */
static void add_children(Offspring *o, pid_t pid)
{
        char path[64];

        (void) snprintf(path, sizeof path, "/proc/%d/task", (int) pid);
        DIR *threads = opendir(path);
        for (const struct dirent *e; threads && (e = readdir(threads));) {
                if (e->d_name[0] == '.')
                        continue;
                (void) snprintf(path, sizeof path, "/proc/%d/task/%.12s/children", (int) pid, e->d_name);
                _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
                if (fd >= 0)
                        (void) add_all(o, fd);
        }
        if (threads)
                (void) closedir(threads);
}

/* 0: it is gone. */
static pid_t parent_of(pid_t pid)
{
        _cleanup_free_ char *text = NULL;
        char path[64];
        int parent = 0;

        (void) snprintf(path, sizeof path, "/proc/%d/stat", (int) pid);
        if (read_file(path, 4096, &text, NULL) < 0)
                return 0;
        /* A name may contain everything. */
        const char *behind_name = strrchr(text, ')');
        return behind_name && sscanf(behind_name, ") %*c %d", &parent) == 1 ? parent : 0;
}

/* Its parent may wait for it at any time, and then its number may be that of another process. */
static void stop_child_of(pid_t parent, pid_t pid)
{
        _cleanup_close_ int fd = pidfd_open(pid, 0);

        if (fd >= 0 && parent_of(pid) == parent)
                (void) pidfd_send_signal(fd, SIGSTOP, NULL, 0);
}

void offspring_stop_all(const pid_t *pids, size_t n)
{
        Offspring all = {.fd = -1};

        for (size_t i = 0; i < n; i++) {
                (void) kill(pids[i], SIGSTOP);
                (void) add(&all, pids[i]);
        }
        for (size_t i = 0; i < all.n; i++) {
                size_t known = all.n;

                add_children(&all, all.pids[i]);
                for (; known < all.n; known++)
                        stop_child_of(all.pids[i], all.pids[known]);
        }
        offspring_close(&all);
}

/* Returns how many there were, at least 1 if that is not known. The children of those that it buries are in
 * the list after that. */
static size_t kill_round(Offspring *o, const Offspring *spared, bool stop)
{
        size_t n = 0;

        if (offspring_read(o) < 0)
                return 1;
        for (size_t i = 0; i < o->n; i++)
                if (!offspring_has(spared, o->pids[i]))
                        o->pids[n++] = o->pids[i];
        if (stop)
                offspring_stop_all(o->pids, n);
        for (size_t i = 0; i < n; i++) {
                (void) kill(o->pids[i], SIGKILL);
                (void) waitpid(o->pids[i], NULL, WNOHANG);
        }
        return n;
}

void offspring_kill_all(const Offspring *spared, uint64_t timeout_usec)
{
        const uint64_t until = now_usec(CLOCK_MONOTONIC) + timeout_usec;
        Offspring all;

        if (offspring_open(&all) < 0)
                return;
        for (unsigned round = 0; kill_round(&all, spared, round >= OFFSPRING_PATIENCE) > 0 &&
                                 now_usec(CLOCK_MONOTONIC) < until;
                        round++)
                (void) poll(NULL, 0, PAUSE_MSEC);
        offspring_close(&all);
}
