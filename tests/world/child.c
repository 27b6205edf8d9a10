/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* runtime/child.h: how a receiver sees its handlers. */

#include "runtime/child.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <utlist.h>

#include "base/buffer.h"
#include "base/str-util.h"
#include "world/child-group.h"

#define PIPE_SIZE   65536u
#define READ_REPORT 4096u
#define READ_OUTPUT 16384u

struct Child {
        Owned owned;
        Source source;
        Alarm timeout;
        ChildGroup *group;
        Warden *warden;
        Loop *loop;
        size_t output_max;
        void (*report)(const char *line, void *userdata), (*error_line)(const char *line, void *userdata);
        ChildDone done;
        void *userdata;
        bool is_over, was_timed_out;
        ChildResult result;
        Buffer output; /* of `result`; in the memory of the receiver */

        /* Pipes. */
        char *written; /* its output; NULL: none */
        size_t n_written, n_read;
        bool is_blocked; /* the leader cannot end before the receiver has read most of the output */
        int blocked_status;
        Buffer reports;
        char line[CHILD_REPORT_MAX + 1];
        size_t line_size;
        bool line_too_long;
};

static unsigned n_spawns;
static int spawn_error; /* of all processes */
static int spawn_errors[PROCESSES_MAX];

void child_world_begin(void)
{
        spawn_error = 0;
        memset(spawn_errors, 0, sizeof spawn_errors);
        group_world_begin();
        warden_world_begin();
}

void child_world_end(void)
{
        group_world_end();
        warden_world_end();
}

/* Its end. */

/* The leader is over; the receiver sees it in its loop. */
static void set_status(Child *c, int status)
{
        c->result.status = status;
        c->is_over = true;
        c->is_blocked = false;
        loop_wake(c->loop);
}

void child_see_kill(Child *c)
{
        set_status(c, W_EXITCODE(0, SIGKILL));
}

void child_kill(Child *c)
{
        HOST_SCOPE;

        group_kill_soon(c->group);
}

static void on_timeout(void *userdata)
{
        Child *c = userdata;

        c->was_timed_out = true;
        child_kill(c);
}

/* Frees what the world has of it; the group goes on unless it is dead. */
static void leave(Child *c)
{
        owned_remove(&c->owned);
        alarm_remove(&c->timeout);
        source_remove(&c->source);
        buffer_clear(&c->reports);
        if (c->is_blocked) /* SIGPIPE */
                group_kill(c->group);
        group_leave(c->group);
        free(c->written);
        buffer_clear(&c->output);
        free(c);
}

Child *child_free(Child *c)
{
        HOST_SCOPE;

        if (!c)
                return NULL;
        group_kill(c->group);
        leave(c);
        return NULL;
}

/* The receiver is killed. Its handlers run on, until its warden kills them. */
static void reclaim(Owned *o)
{
        Child *c = CONTAINER_OF(o, Child, owned);

        c->output = (Buffer){}; /* it goes with the memory of the receiver */
        leave(c);
}

/* What the loop does. */

static void end_report(Child *c)
{
        if (c->line_size > 0 && c->line[c->line_size - 1] == '\r')
                c->line_size--;
        c->line[c->line_size] = '\0';
        if (!c->line_too_long && strlen(c->line) == c->line_size)
                c->report(c->line, c->userdata);
        c->line_size = 0;
        c->line_too_long = false;
}

static void take_report(Child *c, const char *data, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                if (data[i] == '\n')
                        end_report(c);
                else if (c->line_size < CHILD_REPORT_MAX)
                        c->line[c->line_size++] = data[i];
                else
                        c->line_too_long = true;
        }
}

/* The handler may write more meanwhile. */
static void read_reports(Child *c)
{
        char chunk[READ_REPORT];
        size_t n = MIN(buffer_size(&c->reports), sizeof chunk);

        memcpy(chunk, buffer_peek(&c->reports), n);
        buffer_consume(&c->reports, n);
        take_report(c, chunk, n);
}

static void end_leader(Child *c, int status)
{
        HOST_SCOPE;

        set_status(c, status);
        group_end_leader(c->group, false);
}

/* Reads a piece of the output. Without memory for it, it is missing. */
static void read_output(Child *c)
{
        const size_t size = MIN(c->n_written - c->n_read, READ_OUTPUT),
                     kept = c->result.cut ? 0 : MIN(size, c->output_max - buffer_size(&c->output));

        c->result.cut |= buffer_append(&c->output, c->written + c->n_read, kept) < 0 || kept < size;
        c->n_read += size;
        if (c->is_blocked && c->n_written - c->n_read <= PIPE_SIZE)
                end_leader(c, c->blocked_status);
}

/* Like the real one, it looks at the end last. */
static bool sees_end(const Child *c)
{
        return c->is_over && c->timeout.due > now_usec(CLOCK_BOOTTIME);
}

static bool is_ready(Source *s)
{
        const Child *c = CONTAINER_OF(s, Child, source);

        return !c->group->has_input || buffer_size(&c->reports) > 0 || c->n_read < c->n_written ||
               sees_end(c);
}

static void give_input(Child *c)
{
        HOST_SCOPE;

        group_give_input(c->group);
}

static void kill_rest(Child *c)
{
        HOST_SCOPE;

        group_kill(c->group);
}

static void on_end(Child *c)
{
        const pid_t number = c->group->seen.group;

        kill_rest(c);
        while (c->n_read < c->n_written)
                read_output(c);
        while (buffer_size(&c->reports) > 0)
                read_reports(c);
        if (c->line_size > 0)
                end_report(c);
        c->result.output = buffer_peek(&c->output) ?: (const uint8_t *) "";
        c->result.output_size = buffer_size(&c->output);
        c->result.too_long = c->result.cut && c->result.output_size == c->output_max;
        c->result.timed_out = c->was_timed_out && WIFSIGNALED(c->result.status);
        if (process_current())
                child_warden_remove(c->warden, number);
        c->done(&c->result, c->userdata);
        child_free(c);
}

uint8_t *child_take_output(Child *c)
{
        uint8_t *data = c->output.data;

        c->output = (Buffer){};
        return data;
}

static void dispatch(Source *s)
{
        Child *c = CONTAINER_OF(s, Child, source);

        if (!c->group->has_input)
                give_input(c);
        else if (sees_end(c))
                on_end(c);
        else if (buffer_size(&c->reports) > 0)
                read_reports(c);
        else
                read_output(c);
}

/* Its beginning. */

static Child *child_new(Loop *loop, const ChildSpec *spec, ChildDone done, void *userdata)
{
        HOST_SCOPE;
        Child *c = calloc(1, sizeof *c);

        assert(c);
        c->group = group_new(spec, c);
        c->group->has_input = !process_current();
        c->loop = loop;
        c->output_max = spec->output_max;
        c->report = spec->report;
        c->error_line = spec->error_line;
        c->done = done;
        c->userdata = userdata;
        source_add(&c->source, loop, is_ready, dispatch);
        alarm_add(&c->timeout, loop, on_timeout, c);
        c->timeout.due = usec_add(now_usec(CLOCK_BOOTTIME), spec->timeout_usec);
        owned_add(&c->owned, reclaim);
        return c;
}

static int find_spawn_error(void)
{
        const Process *p = process_current();
        void *volatile probe; /* so that no compiler leaves it out */

        if (spawn_error < 0)
                return spawn_error;
        if (!p)
                return 0;
        assert(process_index(p) < PROCESSES_MAX);
        if (spawn_errors[process_index(p)] < 0)
                return spawn_errors[process_index(p)];
        /* The real one allocates, too. */
        probe = malloc(sizeof(Child));
        free(probe);
        return probe ? 0 : -ENOMEM;
}

int child_spawn(Loop *loop, const ChildSpec *spec, ChildDone done, void *userdata, Child **ret)
{
        int r;

        kill_point();
        n_spawns++;
        r = find_spawn_error();
        if (r >= 0 && process_current() && !child_warden_is_alive(spec->warden))
                r = -EPIPE;
        if (r < 0)
                return r;
        Child *c = child_new(loop, spec, done, userdata);
        if (process_current())
                child_warden_add(spec->warden, c->group->seen.group);
        c->warden = spec->warden;
        *ret = c;
        kill_point();
        return 0;
}

int child_find_program(const char *name, char **ret)
{
        if (str_after_prefix(name, "missing"))
                return -ENOENT;
        *ret = str_format("%s%s", strchr(name, '/') ? "" : "/fake/", name);
        return *ret ? 0 : -ENOMEM;
}

/* For tests and for the simulator. */

unsigned world_n_spawns(void)
{
        return n_spawns;
}

void world_spawn_error(int error)
{
        spawn_error = error;
}

void child_set_spawn_error(Process *p, int error)
{
        assert(process_index(p) < PROCESSES_MAX);
        spawn_errors[process_index(p)] = error;
}

TestChild *world_child(unsigned i)
{
        for (ChildGroup *g = group_first(); g; g = g->next)
                if (g->seen.is_running && i-- == 0)
                        return &g->seen;
        return NULL;
}

unsigned world_n_children(void)
{
        unsigned n = 0;

        for (ChildGroup *g = group_first(); g; g = g->next)
                n += g->seen.is_running;
        return n;
}

const char *world_environment(const TestChild *f, const char *name)
{
        size_t n = strlen(name);

        for (char **word = f->environment; *word; word++)
                if (strncmp(*word, name, n) == 0 && (*word)[n] == '=')
                        return *word + n + 1;
        return NULL;
}

bool child_report(TestChild *f, const void *data, size_t size)
{
        Child *c = group_of(f)->child;

        assert(!group_of(f)->is_dead);
        if (!c || !c->report || size > PIPE_SIZE - buffer_size(&c->reports))
                return false;
        int r = buffer_append(&c->reports, data, size);
        assert(r >= 0);
        loop_wake(c->loop);
        return true;
}

void world_report(TestChild *f, const char *line)
{
        Child *c = group_of(f)->child;

        assert(f->is_running);
        if (group_of(f)->receiver) {
                (void) child_report(f, line, strlen(line));
                (void) child_report(f, "\n", 1);
        } else if (c->report)
                c->report(line, c->userdata);
}

void world_error_line(TestChild *f, const char *line)
{
        Child *c = group_of(f)->child;

        if (c->error_line)
                c->error_line(line, c->userdata);
}

void world_child_end(TestChild *f, int status, const char *output)
{
        const int code = status > 128 ? W_EXITCODE(0, status - 128) : W_EXITCODE(status, 0);
        ChildGroup *g = group_of(f);
        Child *c = g->child;

        assert(f->is_running);
        if (!c) {
                group_end_leader(g, false);
                return;
        }
        assert(!c->written);
        if (output) {
                c->n_written = strlen(output);
                c->written = strdup(output);
                assert(c->written);
        }
        c->is_blocked = g->receiver && c->n_written > PIPE_SIZE;
        c->blocked_status = code;
        if (c->is_blocked)
                loop_wake(c->loop);
        else
                end_leader(c, code);
}
