/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define REGISTER_TIMEOUT_MS 10000

/* In the child process. */
static void become_agent(int notify_fd)
{
        char number[16];

        (void) snprintf(number, sizeof number, "%d", notify_fd);
        (void) fcntl(notify_fd, F_SETFD, 0);
        (void) execlp("pkttyagent", "pkttyagent", "--notify-fd", number, "--fallback", (char *) NULL);
        _exit(127);
}

pid_t agent_start(void)
{
        struct pollfd ready = {.events = POLLIN};
        int fds[2], status;
        pid_t pid;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        pid = fork();
        if (pid == 0)
                become_agent(fds[1]);
        (void) close(fds[1]);
        ready.fd = fds[0];
        if (pid > 0) /* the agent closes its end when it is registered, and when it exits */
                (void) poll(&ready, 1, REGISTER_TIMEOUT_MS);
        (void) close(fds[0]);
        if (pid > 0 && waitpid(pid, &status, WNOHANG) == pid)
                return -ENOENT;
        return pid < 0 ? -errno : pid;
}

void agent_stop(pid_t pid)
{
        if (pid <= 0)
                return;
        (void) kill(pid, SIGTERM);
        (void) kill(pid, SIGCONT);
        (void) waitpid(pid, NULL, 0);
}
