/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/fd-util.h"
#include "base/str-util.h"
#include "runtime/timer.h"
#include "runtime/watch.h"

#define READ_CHUNK 16384u
/* After the end of the leader a pipe holds at most what the kernel lets it (1 MiB where somebody enlarged
 * it). */
#define LAST_READS 64u

enum {
        EXIT_CANNOT_PREPARE = 126,
        EXIT_CANNOT_EXECUTE = 127,
};

struct Child {
        pid_t pid; /* also the number of its group; 0 before it lives and after it was reaped */
        int pidfd, input_fd, output_fd, report_fd;
        Watch exit_watch, input_watch, output_watch, report_watch;
        Timer timeout;
        const uint8_t *input;
        size_t input_left;
        Buffer output;
        size_t output_max;
        bool cut, timed_out;
        char line[CHILD_REPORT_MAX + 1]; /* of a report, that has no end yet */
        size_t line_size;
        bool line_too_long;
        void (*report)(const char *line, void *userdata);
        ChildDone done;
        void *userdata;
};

/* go: the new process waits for a byte, so that nothing of the program happens before all is there that its
 * result comes by; the end of the pipe says that it shall not begin. */
typedef struct Pipes {
        int input[2], output[2], report[2], go[2];
} Pipes;

static void pipes_clear(Pipes *p)
{
        for (size_t i = 0; i < 2; i++) {
                (void) close_clear(p->input + i);
                (void) close_clear(p->output + i);
                (void) close_clear(p->report + i);
                (void) close_clear(p->go + i);
        }
}

/* Without close-on-exec; dup2() to the same number would leave that on. */
static int move_to(int fd, int number)
{
        return fd == number ? fcntl(fd, F_SETFD, 0) : dup2(fd, number);
}

/* Programs that use select() rely on no higher descriptor. */
static void limit_descriptors(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur <= FD_SETSIZE)
                return;
        limit.rlim_cur = FD_SETSIZE;
        (void) setrlimit(RLIMIT_NOFILE, &limit);
}

/* In the new process: everything here is async-signal-safe, since other threads may hold any lock. */
_Noreturn static void become(const ChildSpec *spec, const Pipes *pipes, void *userdata)
{
        sigset_t none;
        uint8_t byte;

        (void) close(pipes->go[1]);
        if (TEMP_FAILURE_RETRY(read(pipes->go[0], &byte, 1)) != 1)
                _exit(EXIT_CANNOT_PREPARE);
        if (setpgid(0, 0) < 0 || dup2(pipes->input[0], STDIN_FILENO) < 0 ||
                        dup2(pipes->output[1], STDOUT_FILENO) < 0)
                _exit(EXIT_CANNOT_PREPARE);
        if (spec->before_exec && spec->before_exec(getpid(), userdata) < 0)
                _exit(EXIT_CANNOT_PREPARE);
        /* Behind everything that may need what has that number now. */
        if (spec->report && move_to(pipes->report[1], CHILD_REPORT_FD) < 0)
                _exit(EXIT_CANNOT_PREPARE);
        /* A library may have one that is not close-on-exec. */
        (void) close_range(spec->report ? CHILD_REPORT_FD + 1 : CHILD_REPORT_FD, ~0u, CLOSE_RANGE_CLOEXEC);
        limit_descriptors();
        /* Also what we were started with: under nohup or in a shell's background a handler would ignore
         * SIGHUP or SIGINT. */
        for (int number = 1; number < _NSIG; number++)
                (void) signal(number, SIG_DFL);
        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        (void) execve(spec->path, spec->arguments, spec->environment);
        _exit(EXIT_CANNOT_EXECUTE);
}

static void close_input(Child *c)
{
        watch_stop(&c->input_watch);
        (void) close_clear(&c->input_fd);
}

static void on_input(uint32_t events, void *userdata)
{
        Child *c = userdata;

        while (c->input_left > 0) {
                ssize_t n = write(c->input_fd, c->input, c->input_left);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return;
                if (n < 0) /* it does not want (all of) its input, which is its own business */
                        break;
                c->input += n;
                c->input_left -= (size_t) n;
        }
        close_input(c);
}

/* True when there may be more at once. */
static bool read_output(Child *c)
{
        uint8_t chunk[READ_CHUNK];
        ssize_t n = read(c->output_fd, chunk, sizeof chunk);

        if (n < 0)
                return errno == EINTR;
        if (n == 0) {
                watch_stop(&c->output_watch);
                return false;
        }
        size_t keep = MIN((size_t) n, c->output_max - buffer_size(&c->output));
        c->cut |= buffer_append(&c->output, chunk, keep) < 0 || keep < (size_t) n;
        return true;
}

static void on_output(uint32_t events, void *userdata)
{
        (void) read_output(userdata);
}

static void take_report(Child *c, const char *data, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                if (data[i] == '\n') {
                        c->line[c->line_size] = '\0';
                        if (!c->line_too_long && strlen(c->line) == c->line_size)
                                c->report(c->line, c->userdata);
                        c->line_size = 0;
                        c->line_too_long = false;
                } else if (c->line_size < CHILD_REPORT_MAX)
                        c->line[c->line_size++] = data[i];
                else
                        c->line_too_long = true;
        }
}

/* True when there may be more at once. */
static bool read_report(Child *c)
{
        char chunk[4096];
        ssize_t n = read(c->report_fd, chunk, sizeof chunk);

        if (n < 0)
                return errno == EINTR;
        if (n == 0) {
                watch_stop(&c->report_watch);
                return false;
        }
        take_report(c, chunk, (size_t) n);
        return true;
}

static void on_report(uint32_t events, void *userdata)
{
        (void) read_report(userdata);
}

void child_kill(Child *c)
{
        if (c->pid > 0)
                (void) kill(-c->pid, SIGKILL);
}

static void on_timeout(void *userdata)
{
        Child *c = userdata;

        c->timed_out = true;
        child_kill(c);
}

/* The leader has ended. While it is not reaped its number is taken, so the rest of the group can be killed
 * and `done` can speak of the group without meaning somebody else. */
static void on_exit_of_leader(uint32_t events, void *userdata)
{
        Child *c = userdata;
        siginfo_t info = {};

        if (waitid(P_PID, (id_t) c->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
                return;
        child_kill(c);
        for (unsigned i = 0; i < LAST_READS && watch_is_started(&c->output_watch) && read_output(c); i++)
                ;
        for (unsigned i = 0; i < LAST_READS && watch_is_started(&c->report_watch) && read_report(c); i++)
                ;

        ChildResult result = {
                        .status = info.si_code == CLD_EXITED ? W_EXITCODE(info.si_status, 0)
                                                             : W_EXITCODE(0, info.si_status),
                        .timed_out = c->timed_out && info.si_code == CLD_KILLED,
                        .cut = c->cut,
                        .output = buffer_peek(&c->output),
                        .output_size = buffer_size(&c->output),
        };
        c->done(c->pid, &result, c->userdata);
        child_free(c);
}

static int add_sources(Child *c, Loop *loop, const ChildSpec *spec)
{
        int r;

        r = timer_init(&c->timeout, loop, "child-timeout", on_timeout, c);
        if (r >= 0)
                r = timer_arm_in(&c->timeout, spec->timeout_usec);
        if (r >= 0)
                r = watch_start(&c->input_watch, loop, c->input_fd, EPOLLOUT, on_input, c);
        if (r >= 0)
                r = watch_start(&c->output_watch, loop, c->output_fd, EPOLLIN, on_output, c);
        if (r >= 0 && spec->report)
                r = watch_start(&c->report_watch, loop, c->report_fd, EPOLLIN, on_report, c);
        if (r >= 0)
                r = watch_start(&c->exit_watch, loop, c->pidfd, EPOLLIN, on_exit_of_leader, c);
        /* What it wrote before its end is read first. */
        watch_be_last(&c->exit_watch);
        return r;
}

static int start(Child *c, const ChildSpec *spec, Pipes *pipes, void *userdata)
{
        int r;

        if (pipe2(pipes->input, O_CLOEXEC) < 0 || pipe2(pipes->output, O_CLOEXEC) < 0 ||
                        pipe2(pipes->go, O_CLOEXEC) < 0 ||
                        (spec->report && pipe2(pipes->report, O_CLOEXEC) < 0))
                return -errno;
        r = fd_set_nonblock(pipes->input[1], true);
        if (r >= 0)
                r = fd_set_nonblock(pipes->output[0], true);
        if (r >= 0 && spec->report)
                r = fd_set_nonblock(pipes->report[0], true);
        if (r < 0)
                return r;

        c->pid = fork();
        if (c->pid < 0) {
                c->pid = 0;
                return -errno;
        }
        if (c->pid == 0)
                become(spec, pipes, userdata);
        /* Both sides do it, so that it is done whichever runs first. */
        (void) setpgid(c->pid, c->pid);
        c->input_fd = TAKE_FD(pipes->input[1]);
        c->output_fd = TAKE_FD(pipes->output[0]);
        c->report_fd = TAKE_FD(pipes->report[0]);
        c->pidfd = pidfd_open(c->pid, 0);
        return c->pidfd < 0 ? -errno : 0;
}

int child_spawn(Loop *loop, const ChildSpec *spec, ChildDone done, void *userdata, Child **ret)
{
        Pipes pipes = {.input = {-1, -1}, .output = {-1, -1}, .report = {-1, -1}, .go = {-1, -1}};
        int r;

        _cleanup_(child_freep) Child *c = calloc(1, sizeof *c);
        if (!c)
                return -ENOMEM;
        c->pidfd = c->input_fd = c->output_fd = c->report_fd = -1;
        c->report = spec->report;
        c->input = spec->input;
        c->input_left = spec->input_size;
        c->output_max = spec->output_max;
        c->done = done;
        c->userdata = userdata;
        r = start(c, spec, &pipes, userdata);
        if (r >= 0)
                r = add_sources(c, loop, spec);
        if (r >= 0 && write(pipes.go[1], "", 1) != 1)
                r = -errno;
        pipes_clear(&pipes);
        if (r < 0) {
                /* It waits in vain. */
                if (c->pid > 0)
                        (void) waitpid(c->pid, NULL, 0);
                c->pid = 0;
                return r;
        }
        *ret = TAKE_PTR(c);
        return 0;
}

Child *child_free(Child *c)
{
        if (!c)
                return NULL;
        timer_clear(&c->timeout);
        watch_stop(&c->exit_watch);
        watch_stop(&c->output_watch);
        watch_stop(&c->report_watch);
        close_input(c);
        child_kill(c);
        /* Just killed, it may need a moment; then it is reaped with us. */
        if (c->pid > 0)
                (void) waitpid(c->pid, NULL, WNOHANG);
        (void) close_clear(&c->output_fd);
        (void) close_clear(&c->report_fd);
        (void) close_clear(&c->pidfd);
        buffer_clear(&c->output);
        free(c);
        return NULL;
}

int child_find_program(const char *name, char **ret)
{
        const char *path = getenv("PATH") ?: "/usr/local/bin:/usr/bin:/bin";
        int r = -ENOENT;

        if (strchr(name, '/')) {
                char *copy = access(name, X_OK) < 0 ? NULL : strdup(name);
                if (!copy)
                        return -errno;
                *ret = copy;
                return 0;
        }
        for (const char *at = path; at; at = strchr(at, ':') ? strchr(at, ':') + 1 : NULL) {
                char *file = str_format("%.*s/%s", (int) strcspn(at, ":"), at, name);
                if (!file)
                        return -ENOMEM;
                if (access(file, X_OK) >= 0) {
                        *ret = file;
                        return 0;
                }
                if (errno == EACCES)
                        r = -EACCES;
                free(file);
        }
        return r;
}
