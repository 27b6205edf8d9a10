/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/child-process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd-util.h"

#define PIPE_SIZE 65536u /* of a new pipe */
#define PIPE_SIZE_MAX                                                                                       \
        (1u << 20) /* of one that was enlarged, where the administrator has not changed that                \
                    */

enum {
        EXIT_CANNOT_PREPARE = 126,
        EXIT_CANNOT_EXECUTE = 127,
};

typedef struct Pipes {
        int input; /* the end that the program reads */
        int output[2], report[2], go[2];
} Pipes;

static void pipes_clear(Pipes *p)
{
        (void) close_clear(&p->input);
        for (size_t i = 0; i < 2; i++) {
                (void) close_clear(p->output + i);
                (void) close_clear(p->report + i);
                (void) close_clear(p->go + i);
        }
}

/* Without close-on-exec. dup2() to the same number would leave that flag on. */
static int move_to(int fd, int number)
{
        return fd == number ? fcntl(fd, F_SETFD, 0) : dup2(fd, number);
}

/* Programs that use select() cannot handle a higher descriptor. */
static void limit_descriptors(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur <= FD_SETSIZE)
                return;
        limit.rlim_cur = FD_SETSIZE;
        (void) setrlimit(RLIMIT_NOFILE, &limit);
}

/* In the new process. Everything here is async-signal-safe, since other threads may hold any lock. */
_Noreturn static void become(const ChildSpec *spec, const Pipes *pipes, void *userdata)
{
        sigset_t none;
        uint8_t byte;

        (void) close(pipes->go[1]);
        if (TEMP_FAILURE_RETRY(read(pipes->go[0], &byte, 1)) != 1)
                _exit(EXIT_CANNOT_PREPARE);
        if (setpgid(0, 0) < 0 || dup2(pipes->input, STDIN_FILENO) < 0 ||
                        dup2(pipes->output[1], STDOUT_FILENO) < 0)
                _exit(EXIT_CANNOT_PREPARE);
        if (spec->before_exec && spec->before_exec(getpid(), userdata) < 0)
                _exit(EXIT_CANNOT_PREPARE);
        /* Last, since before_exec() may use the descriptor that has this number now. */
        if (spec->report && move_to(pipes->report[1], CHILD_REPORT_FD) < 0)
                _exit(EXIT_CANNOT_PREPARE);
        /* A library may have opened a descriptor without close-on-exec. */
        (void) close_range(spec->report ? CHILD_REPORT_FD + 1 : CHILD_REPORT_FD, ~0u, CLOSE_RANGE_CLOEXEC);
        limit_descriptors();
        /* Also the signals that were ignored when this daemon was started, as nohup and a shell's background
         * do. */
        for (int number = 1; number < _NSIG; number++)
                (void) signal(number, SIG_DFL);
        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        (void) execve(spec->path, spec->arguments, spec->environment);
        _exit(EXIT_CANNOT_EXECUTE);
}

/* -EMSGSIZE: the kernel makes no pipe that takes so much at once. */
static int put_into_pipe(const ChildSpec *spec, int *ret)
{
        int fds[2], r = 0;
        ssize_t n = 0;

        if (spec->input_size > PIPE_SIZE_MAX)
                return -EMSGSIZE;
        if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
                return -errno;
        if (spec->input_size > PIPE_SIZE)
                (void) fcntl(fds[1], F_SETPIPE_SZ, (int) spec->input_size);
        if (spec->input_size > 0)
                n = write(fds[1], spec->input, spec->input_size);
        if (n < 0 && errno != EAGAIN)
                r = -errno;
        else if ((size_t) n != spec->input_size)
                r = -EMSGSIZE;
        else
                r = fd_set_nonblock(fds[0], false);
        (void) close(fds[1]);
        if (r < 0)
                (void) close(fds[0]);
        else
                *ret = fds[0];
        return r;
}

static int put_into_memory(const ChildSpec *spec, int *ret)
{
        int fd = memfd_create("input", MFD_CLOEXEC), r = 0;

        if (fd < 0)
                return -errno;
        for (size_t done = 0; done < spec->input_size && r >= 0;) {
                ssize_t n = write(fd, (const uint8_t *) spec->input + done, spec->input_size - done);
                if (n > 0)
                        done += (size_t) n;
                else if (n == 0 || errno != EINTR)
                        r = n == 0 ? -EIO : -errno;
        }
        if (r >= 0 && lseek(fd, 0, SEEK_SET) < 0)
                r = -errno;
        if (r < 0)
                (void) close(fd);
        else
                *ret = fd;
        return r;
}

/* The program must never take a part of its input for all of it, also if this process dies. So the whole
 * input is there before the program begins: in a pipe, or in a file if it is too large for that. */
static int put_input(const ChildSpec *spec, int *ret)
{
        int r = put_into_pipe(spec, ret);

        return r == -EMSGSIZE ? put_into_memory(spec, ret) : r;
}

static int make_pipes(Pipes *p, const ChildSpec *spec)
{
        int r = put_input(spec, &p->input);

        if (r < 0)
                return r;
        if (pipe2(p->output, O_CLOEXEC) < 0 || pipe2(p->go, O_CLOEXEC) < 0 ||
                        (spec->report && pipe2(p->report, O_CLOEXEC) < 0))
                return -errno;
        r = fd_set_nonblock(p->output[0], true);
        if (r >= 0 && spec->report)
                r = fd_set_nonblock(p->report[0], true);
        return r;
}

int child_process_fork(ChildProcess *p, const ChildSpec *spec, void *userdata)
{
        Pipes pipes = {.input = -1, .output = {-1, -1}, .report = {-1, -1}, .go = {-1, -1}};
        int r;

        *p = (ChildProcess){.pidfd = -1, .output_fd = -1, .report_fd = -1, .go_fd = -1};
        r = make_pipes(&pipes, spec);
        if (r >= 0) {
                p->pid = fork();
                if (p->pid == 0)
                        become(spec, &pipes, userdata);
                r = p->pid < 0 ? -errno : 0;
        }
        if (r < 0)
                p->pid = 0;
        else {
                /* Both processes set the group, so the order in which they run does not matter. */
                (void) setpgid(p->pid, p->pid);
                p->output_fd = TAKE_FD(pipes.output[0]);
                p->report_fd = TAKE_FD(pipes.report[0]);
                p->go_fd = TAKE_FD(pipes.go[1]);
                p->pidfd = pidfd_open(p->pid, 0);
                r = p->pidfd < 0 ? -errno : 0;
        }
        pipes_clear(&pipes);
        return r;
}

int child_process_go(ChildProcess *p)
{
        int r = write(p->go_fd, "", 1) != 1 ? -errno : 0;

        (void) close_clear(&p->go_fd);
        return r;
}

void child_process_abandon(ChildProcess *p)
{
        (void) close_clear(&p->go_fd);
        if (p->pid > 0)
                (void) waitpid(p->pid, NULL, 0);
        p->pid = 0;
}

void child_process_close(ChildProcess *p)
{
        (void) close_clear(&p->go_fd);
        (void) close_clear(&p->output_fd);
        (void) close_clear(&p->report_fd);
        (void) close_clear(&p->pidfd);
}
