/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/warden.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

/* A killed process ends at once, unless it hangs in the kernel. */
#define DEATH_PATIENCE_MSEC 5000

/* The pipe carries the number of each group that begins, and minus the number of each that has ended. */
typedef int32_t WardenWord;

typedef struct Groups {
        pid_t *groups;
        size_t n, allocated;
} Groups;

static void group_begins(Groups *g, pid_t group)
{
        if (g->n == g->allocated) {
                size_t allocated = MAX(2 * g->allocated, 64u);
                pid_t *grown = reallocarray(g->groups, allocated, sizeof *grown);
                if (!grown)
                        return;
                g->groups = grown;
                g->allocated = allocated;
        }
        g->groups[g->n++] = group;
}

static void group_ended(Groups *g, pid_t group)
{
        for (size_t i = 0; i < g->n; i++)
                if (g->groups[i] == group) {
                        g->groups[i] = g->groups[--g->n];
                        return;
                }
}

static void kill_groups(const Groups *g)
{
        for (size_t i = 0; i < g->n; i++) {
                int leader = pidfd_open(g->groups[i], 0);

                (void) kill(-g->groups[i], SIGKILL);
                if (leader < 0)
                        continue;
                (void) poll(&(struct pollfd){.fd = leader, .events = POLLIN}, 1, DEATH_PATIENCE_MSEC);
                (void) close(leader);
        }
}

/* Descriptor 0 becomes the pipe, 1 the lock. Nothing else stays open, above all no listening socket. */
static void keep_only(int pipe_fd, int lock_fd)
{
        int in = fcntl(pipe_fd, F_DUPFD, 3), lock = fcntl(lock_fd, F_DUPFD, 3);
        int null = open("/dev/null", O_WRONLY);

        if (in < 0 || lock < 0 || dup2(in, 0) < 0 || dup2(lock, 1) < 0)
                _exit(EXIT_FAILURE);
        if (null >= 0)
                (void) dup2(null, 2);
        (void) close_range(3, ~0U, 0);
}

_Noreturn static void watch(int pipe_fd, int lock_fd)
{
        /* systemd and terminals send signals to every process of a unit or group. Only the end of the pipe
         * may end the warden. */
        static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2};
        WardenWord words[256];
        Groups groups = {};
        ssize_t n;

        for (size_t i = 0; i < ELEMENTSOF(ignored); i++)
                (void) signal(ignored[i], SIG_IGN);
        (void) prctl(PR_SET_NAME, "ackgroup-warden");
        keep_only(pipe_fd, lock_fd);
        while ((n = read(0, words, sizeof words)) != 0) {
                if (n < 0 && errno != EINTR)
                        break;
                for (ssize_t i = 0; i < n / (ssize_t) sizeof *words; i++)
                        if (words[i] > 0)
                                group_begins(&groups, words[i]);
                        else
                                group_ended(&groups, -words[i]);
        }
        kill_groups(&groups);
        _exit(EXIT_SUCCESS);
}

int warden_start(int lock_fd, Warden *ret)
{
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        pid_t pid = fork();
        if (pid == 0)
                watch(fds[0], lock_fd);

        int r = pid < 0 ? -errno : 0;
        (void) close(fds[0]);
        if (r < 0) {
                (void) close(fds[1]);
                return r;
        }
        *ret = (Warden){.pid = pid, .pidfd = pidfd_open(pid, 0), .fd = fds[1]};
        if (ret->pidfd >= 0)
                return 0;
        r = -errno;
        warden_stop(ret);
        return r;
}

static int say(const Warden *w, WardenWord word)
{
        ssize_t n;

        do
                n = write(w->fd, &word, sizeof word);
        while (n < 0 && errno == EINTR);
        return n == sizeof word ? 0 : -EIO;
}

int warden_begin(const Warden *w, pid_t group)
{
        return say(w, group);
}

void warden_end(const Warden *w, pid_t group)
{
        (void) say(w, -group);
}

void warden_stop(Warden *w)
{
        if (w->pid <= 0)
                return;
        (void) close_clear(&w->fd);
        (void) close_clear(&w->pidfd);
        while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
                ;
        w->pid = 0;
}
