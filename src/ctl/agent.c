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

/* Runs in the child process. */
static void become_agent(int notify_fd)
{
        char number[16];

        (void) snprintf(number, sizeof number, "%d", notify_fd);
        (void) fcntl(notify_fd, F_SETFD, 0);
        (void) execlp("pkttyagent", "pkttyagent", "--notify-fd", number, "--fallback", (char *) NULL);
        (void) !write(notify_fd, "", 1); /* pkttyagent is not installed */
        _exit(127);
}

/* Returns 0 if the agent has registered or needs too long, -ENOENT if it has ended. */
static int wait_until_registered(pid_t pid, int fd)
{
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        char missing;
        int status;

        /* The agent closes its end of the pipe when it has registered, and when it exits. */
        if (poll(&ready, 1, REGISTER_TIMEOUT_MS) <= 0)
                return 0;
        return waitpid(pid, &status, read(fd, &missing, 1) == 1 ? 0 : WNOHANG) == pid ? -ENOENT : 0;
}

pid_t agent_start(void)
{
        int fds[2], r = 0;
        pid_t pid;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        pid = fork();
        if (pid == 0)
                become_agent(fds[1]);
        if (pid < 0)
                r = -errno;
        (void) close(fds[1]);
        if (pid > 0)
                r = wait_until_registered(pid, fds[0]);
        (void) close(fds[0]);
        return r < 0 ? r : pid;
}

void agent_stop(pid_t pid)
{
        if (pid <= 0)
                return;
        (void) kill(pid, SIGTERM);
        (void) kill(pid, SIGCONT);
        (void) waitpid(pid, NULL, 0);
}
