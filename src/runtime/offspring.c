/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/offspring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
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

int offspring_read(Offspring *o)
{
        char chunk[4096];
        pid_t pid = 0;
        ssize_t n;
        int r = 0;

        o->n = 0;
        if (lseek(o->fd, 0, SEEK_SET) < 0)
                return -errno;
        while (r >= 0 && (n = read(o->fd, chunk, sizeof chunk)) != 0) {
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

bool offspring_has(const Offspring *o, pid_t pid)
{
        for (size_t i = 0; i < o->n; i++)
                if (o->pids[i] == pid)
                        return true;
        return false;
}

/* Returns how many there were, at least 1 if that is not known. The children of those that it buries are in
 * the list after that. */
static size_t kill_round(Offspring *o, const Offspring *spared)
{
        size_t n = 0;

        if (offspring_read(o) < 0)
                return 1;
        for (size_t i = 0; i < o->n; i++) {
                if (offspring_has(spared, o->pids[i]))
                        continue;
                (void) kill(o->pids[i], SIGKILL);
                (void) waitpid(o->pids[i], NULL, WNOHANG);
                n++;
        }
        return n;
}

void offspring_kill_all(const Offspring *spared, uint64_t timeout_usec)
{
        const uint64_t until = now_usec(CLOCK_MONOTONIC) + timeout_usec;
        Offspring all;

        if (offspring_open(&all) < 0)
                return;
        while (kill_round(&all, spared) > 0 && now_usec(CLOCK_MONOTONIC) < until)
                (void) poll(NULL, 0, PAUSE_MSEC);
        offspring_close(&all);
}
