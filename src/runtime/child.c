/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/child.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/fd-util.h"
#include "base/str-util.h"
#include "runtime/child-process.h"
#include "runtime/timer.h"
#include "runtime/watch.h"

#define READ_CHUNK 16384u
/* After the leader has ended, a pipe holds at most its capacity: 1 MiB if a process has enlarged it. */
#define LAST_READS 64u

struct Child {
        ChildProcess process; /* pid is 0 after the leader was reaped */
        Watch exit_watch, output_watch, report_watch;
        Timer timeout;
        Buffer output;
        size_t output_max;
        bool cut, timed_out;
        char line[CHILD_REPORT_MAX + 1]; /* the beginning of a report line that has no end yet */
        size_t line_size;
        bool line_too_long;
        void (*report)(const char *line, void *userdata);
        ChildDone done;
        void *userdata;
};

/* True when there may be more at once. */
static bool read_output(Child *c)
{
        uint8_t chunk[READ_CHUNK];
        ssize_t n = read(c->process.output_fd, chunk, sizeof chunk);

        if (n < 0)
                return errno == EINTR;
        if (n == 0) {
                watch_stop(&c->output_watch);
                return false;
        }
        size_t keep = c->cut ? 0 : MIN((size_t) n, c->output_max - buffer_size(&c->output));
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
        ssize_t n = read(c->process.report_fd, chunk, sizeof chunk);

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
        if (c->process.pid > 0)
                (void) kill(-c->process.pid, SIGKILL);
}

static void on_timeout(void *userdata)
{
        Child *c = userdata;

        c->timed_out = true;
        child_kill(c);
}

/* The leader has ended. Until it is reaped no other process can have its number. So the group that is killed
 * here, and that `done` gets, is the right one. */
static void on_exit_of_leader(uint32_t events, void *userdata)
{
        Child *c = userdata;
        siginfo_t info = {};

        if (waitid(P_PID, (id_t) c->process.pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
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
        c->done(c->process.pid, &result, c->userdata);
        child_free(c);
}

static int start_watching(Child *c, Loop *loop, const ChildSpec *spec)
{
        const ChildProcess *p = &c->process;
        int r;

        r = timer_init(&c->timeout, loop, "child-timeout", on_timeout, c);
        if (r >= 0)
                r = timer_arm_in(&c->timeout, spec->timeout_usec);
        if (r >= 0)
                r = watch_start(&c->output_watch, loop, p->output_fd, EPOLLIN, on_output, c);
        if (r >= 0 && spec->report)
                r = watch_start(&c->report_watch, loop, p->report_fd, EPOLLIN, on_report, c);
        if (r >= 0)
                r = watch_start(&c->exit_watch, loop, p->pidfd, EPOLLIN, on_exit_of_leader, c);
        /* What it wrote before its end is read first. */
        watch_be_last(&c->exit_watch);
        return r;
}

int child_spawn(Loop *loop, const ChildSpec *spec, ChildDone done, void *userdata, Child **ret)
{
        int r;

        _cleanup_(child_freep) Child *c = calloc(1, sizeof *c);
        if (!c)
                return -ENOMEM;
        c->report = spec->report;
        c->output_max = spec->output_max;
        c->done = done;
        c->userdata = userdata;
        r = child_process_fork(&c->process, spec, userdata);
        if (r >= 0)
                r = start_watching(c, loop, spec);
        if (r >= 0)
                r = child_process_go(&c->process);
        if (r < 0) {
                child_process_abandon(&c->process);
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
        child_kill(c);
        /* A process that was killed just now may not be dead yet. Then init reaps it when this process ends.
         */
        if (c->process.pid > 0)
                (void) waitpid(c->process.pid, NULL, WNOHANG);
        child_process_close(&c->process);
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
