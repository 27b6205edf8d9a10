/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/spawn.h"

#include <alloca.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define GAP 1024u /* bytes; more than one call needs */

/* The library has no vfork() into a group. */
static pid_t clone_sharing(int group_fd, void (*run)(void *userdata), void *userdata)
{
        struct clone_args args = {
                        .flags = CLONE_VM | CLONE_VFORK | CLONE_INTO_CGROUP,
                        .exit_signal = SIGCHLD,
                        .cgroup = (uint64_t) group_fd,
        };
        const pid_t pid = (pid_t) syscall(SYS_clone3, &args, sizeof args);

        if (pid == 0) {
                /* The parent has yet to return from syscall(). Its way back stands on the stack, just below
                 * this frame. So what the child calls gets its frames further down. */
                char *volatile gap = alloca(GAP);

                (void) gap;
                run(userdata);
        }
        return pid;
}

pid_t spawn_sharing(int group_fd, void (*run)(void *userdata), void *userdata)
{
        if (group_fd >= 0)
                return clone_sharing(group_fd, run, userdata);
        const pid_t pid = vfork();
        if (pid == 0)
                run(userdata);
        return pid;
}

static void end_well(void *userdata)
{
        _exit(EXIT_SUCCESS);
}

/* The parent may not survive the try. */
static _Noreturn void try(int group_fd)
{
        int status = -1;
        const pid_t pid = spawn_sharing(group_fd, end_well, NULL);

        _exit(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

bool spawn_can_share(int group_fd)
{
#ifdef INSTRUMENTED
        return false;
#endif
        int status = -1;
        const pid_t pid = fork();

        if (pid == 0)
                try(group_fd);
        return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}
