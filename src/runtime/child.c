/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/fd-util.h"
#include "base/str-util.h"
#include "runtime/child-input.h"
#include "runtime/executable.h"
#include "runtime/timer.h"
#include "runtime/watch.h"

#define READ_CHUNK 16384u
/* When all processes are dead, a pipe holds at most its capacity: 1 MiB if a process has enlarged it. */
#define LAST_READS       64u
#define LAST_LINES_READS 256u

/* A pipe of which lines are read. */
typedef struct Lines {
        int fd; /* our end, non-blocking; -1: there is none */
        Watch watch;
        bool is_split;                   /* a line that is too long comes in parts; else it is left out */
        char line[CHILD_REPORT_MAX + 1]; /* the beginning of one that has no end yet */
        size_t size;
        bool is_too_long;
        void (*fn)(const char *line, void *userdata);
        void *userdata;
} Lines;

struct Child {
        Warden *warden;
        Ward ward;
        bool is_running;
        int output_fd; /* our end, non-blocking */
        Watch output_watch;
        Lines reports, errors;
        Timer timeout;
        Buffer output;
        size_t output_max;
        bool cut, timed_out;
        ChildDone done;
        void *userdata;
};

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
        size_t keep = c->cut ? 0 : MIN((size_t) n, c->output_max - buffer_size(&c->output));
        c->cut |= buffer_append(&c->output, chunk, keep) < 0 || keep < (size_t) n;
        return true;
}

static void on_output(uint32_t events, void *userdata)
{
        (void) read_output(userdata);
}

/* A report with a NUL is none; in another line the NUL is shown as a blank. */
static void end_line(Lines *l)
{
        if (l->size > 0 && l->line[l->size - 1] == '\r')
                l->size--;
        l->line[l->size] = '\0';
        for (char *nul; l->is_split && (nul = memchr(l->line, '\0', l->size));)
                *nul = ' ';
        if (!l->is_too_long && strlen(l->line) == l->size)
                l->fn(l->line, l->userdata);
        l->size = 0;
        l->is_too_long = false;
}

static void take_lines(Lines *l, const char *data, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                if (data[i] == '\n') {
                        end_line(l);
                        continue;
                }
                if (l->size == CHILD_REPORT_MAX && l->is_split)
                        end_line(l);
                if (l->size < CHILD_REPORT_MAX)
                        l->line[l->size++] = data[i];
                else
                        l->is_too_long = true;
        }
}

/* True when there may be more at once. */
static bool read_lines(Lines *l)
{
        char chunk[4096];
        ssize_t n = read(l->fd, chunk, sizeof chunk);

        if (n < 0)
                return errno == EINTR;
        if (n == 0) {
                watch_stop(&l->watch);
                return false;
        }
        take_lines(l, chunk, (size_t) n);
        return true;
}

static void on_lines(uint32_t events, void *userdata)
{
        (void) read_lines(userdata);
}

static void finish_lines(Lines *l)
{
        for (unsigned i = 0; i < LAST_LINES_READS && watch_is_started(&l->watch) && read_lines(l); i++)
                ;
        if (l->size > 0 || l->is_too_long) /* the last line needs no newline */
                end_line(l);
}

static void close_lines(Lines *l)
{
        watch_stop(&l->watch);
        (void) close_clear(&l->fd);
}

void child_kill(Child *c)
{
        if (c->is_running)
                warden_kill(c->warden, &c->ward);
}

static void on_timeout(void *userdata)
{
        Child *c = userdata;

        c->timed_out = true;
        child_kill(c);
}

/* All of its processes are dead. What they wrote before is read first. */
static void on_end(Ward *ward, const WardEnd *end)
{
        Child *c = CONTAINER_OF(ward, Child, ward);

        c->is_running = false;
        for (unsigned i = 0; i < LAST_READS && watch_is_started(&c->output_watch) && read_output(c); i++)
                ;
        finish_lines(&c->reports);
        finish_lines(&c->errors);

        const ChildResult result = {
                        .status = end->status,
                        .error = end->error,
                        .timed_out = c->timed_out && WIFSIGNALED(end->status) &&
                                     WTERMSIG(end->status) == SIGKILL,
                        .cut = c->cut,
                        .too_long = c->cut && buffer_size(&c->output) == c->output_max,
                        .output = buffer_peek(&c->output),
                        .output_size = buffer_size(&c->output),
        };
        c->done(&result, c->userdata);
        child_free(c);
}

uint8_t *child_take_output(Child *c)
{
        assert(c->output.start == 0); /* nothing is consumed */
        uint8_t *data = c->output.data;

        c->output = (Buffer){};
        return data;
}

/* Our end is non-blocking. */
static int make_pipe(int *ret_ours, int *ret_theirs)
{
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        *ret_ours = fds[0];
        *ret_theirs = fds[1];
        return fd_set_nonblock(fds[0], true);
}

static int make_pipes(Child *c, const ChildSpec *spec, int theirs[static WARD_FDS])
{
        int r = child_input(spec->input, spec->input_size, theirs + STDIN_FILENO);

        if (r >= 0)
                r = make_pipe(&c->output_fd, theirs + STDOUT_FILENO);
        if (r >= 0 && spec->report)
                r = make_pipe(&c->reports.fd, theirs + CHILD_REPORT_FD);
        if (r >= 0 && spec->error_line)
                r = make_pipe(&c->errors.fd, theirs + STDERR_FILENO);
        return r;
}

static int start_watching(Child *c, Loop *loop, const ChildSpec *spec)
{
        int r;

        r = timer_init(&c->timeout, loop, "child-timeout", on_timeout, c);
        if (r >= 0)
                r = timer_arm_in(&c->timeout, spec->timeout_usec);
        if (r >= 0)
                r = watch_start(&c->output_watch, loop, c->output_fd, EPOLLIN, on_output, c);
        if (r >= 0 && spec->report)
                r = watch_start(&c->reports.watch, loop, c->reports.fd, EPOLLIN, on_lines, &c->reports);
        if (r >= 0 && spec->error_line)
                r = watch_start(&c->errors.watch, loop, c->errors.fd, EPOLLIN, on_lines, &c->errors);
        return r;
}

static Child *child_new(const ChildSpec *spec, ChildDone done, void *userdata)
{
        Child *c = calloc(1, sizeof *c);

        if (!c)
                return NULL;
        c->warden = spec->warden;
        c->ward.ended = on_end;
        c->output_fd = -1;
        c->reports = (Lines){.fd = -1, .fn = spec->report, .userdata = userdata};
        c->errors = (Lines){.fd = -1, .fn = spec->error_line, .userdata = userdata, .is_split = true};
        c->output_max = spec->output_max;
        c->done = done;
        c->userdata = userdata;
        return c;
}

int child_spawn(Loop *loop, const ChildSpec *spec, ChildDone done, void *userdata, Child **ret)
{
        WardSpec ward = {
                        .path = spec->path,
                        .arguments = spec->arguments,
                        .environment = spec->environment,
                        .fds = {-1, -1, -1, -1},
                        .is_local = spec->is_local,
        };
        int r;

        _cleanup_(child_freep) Child *c = child_new(spec, done, userdata);
        if (!c)
                return -ENOMEM;
        r = make_pipes(c, spec, ward.fds);
        if (r >= 0)
                r = start_watching(c, loop, spec);
        if (r >= 0)
                r = warden_run(c->warden, loop, &ward, &c->ward);
        for (size_t i = 0; i < WARD_FDS; i++)
                (void) close_clear(ward.fds + i);
        if (r < 0)
                return r;
        c->is_running = true;
        *ret = TAKE_PTR(c);
        return 0;
}

Child *child_free(Child *c)
{
        if (!c)
                return NULL;
        timer_clear(&c->timeout);
        watch_stop(&c->output_watch);
        child_kill(c);
        if (c->is_running)
                warden_forget(c->warden, &c->ward);
        (void) close_clear(&c->output_fd);
        close_lines(&c->reports);
        close_lines(&c->errors);
        buffer_clear(&c->output);
        free(c);
        return NULL;
}

int child_find_program(const char *name, char **ret)
{
        const char *path = getenv("PATH") ?: "/usr/local/bin:/usr/bin:/bin";
        int r = -ENOENT;

        if (strchr(name, '/')) {
                r = executable_check(name);
                if (r < 0)
                        return r;
                *ret = strdup(name);
                return *ret ? 0 : -ENOMEM;
        }
        for (const char *at = path; at; at = strchr(at, ':') ? strchr(at, ':') + 1 : NULL) {
                char *file = str_format("%.*s/%s", (int) strcspn(at, ":"), at, name);
                if (!file)
                        return -ENOMEM;
                int x = executable_check(file);
                if (x >= 0) {
                        *ret = file;
                        return 0;
                }
                if (x != -ENOENT && x != -ENOTDIR)
                        r = x;
                free(file);
        }
        return r;
}
