/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <utlist.h>

#include "base/str-util.h"
#include "world/inside.h"

struct Child {
        Source source;
        Alarm timeout;
        TestChild *seen; /* the test's view of this child */
        size_t output_max;
        void (*report)(const char *line, void *userdata);
        ChildDone done;
        void *userdata;
        ChildResult result;
        bool has_result;
        Child *prev, *next;
};

static Child *children;
static pid_t next_group;
static int spawn_error;

void child_world_begin(void)
{
        children = NULL;
        next_group = 100000;
        spawn_error = 0;
}

static bool is_ready(Source *s)
{
        return CONTAINER_OF(s, Child, source)->has_result;
}

static void on_end(Source *s)
{
        Child *c = CONTAINER_OF(s, Child, source);

        c->done(c->seen->group, &c->result, c->userdata);
        child_free(c);
}

static void end(Child *c, int status, const char *output)
{
        if (c->has_result)
                return;
        size_t size = output ? strlen(output) : 0;
        c->result.status = status;
        c->result.cut = size > c->output_max;
        c->result.output_size = MIN(size, c->output_max);
        c->result.output = (const uint8_t *) world_strdup(output ?: "");
        c->has_result = true;
        c->seen->is_running = false;
}

void child_kill(Child *c)
{
        c->seen->is_killed = true;
        end(c, W_EXITCODE(0, SIGKILL), NULL);
}

static void on_timeout(void *userdata)
{
        Child *c = userdata;

        if (!c->has_result)
                c->result.timed_out = true;
        child_kill(c);
}

static void words_free(void *p)
{
        strv_free(p);
}

static char **copy_words(char *const *words)
{
        char **copy = strv_copy((char **) (uintptr_t) words);

        assert(copy);
        world_free_at_end(words_free, copy);
        return copy;
}

int child_spawn(Loop *loop, const ChildSpec *spec, ChildDone done, void *userdata, Child **ret)
{
        if (spawn_error < 0)
                return spawn_error;
        Child *c = calloc(1, sizeof *c);
        TestChild *f = world_alloc(sizeof *f);

        assert(c);
        f->path = world_strdup(spec->path);
        f->arguments = copy_words(spec->arguments);
        f->environment = copy_words(spec->environment);
        f->input = world_alloc(spec->input_size + 1);
        if (spec->input_size > 0)
                memcpy(f->input, spec->input, spec->input_size);
        f->input_size = spec->input_size;
        f->group = next_group++;
        f->is_running = true;
        c->seen = f;
        c->output_max = spec->output_max;
        c->report = spec->report;
        c->done = done;
        c->userdata = userdata;
        source_add(&c->source, loop, is_ready, on_end);
        alarm_add(&c->timeout, loop, on_timeout, c);
        c->timeout.due = usec_add(now_usec(CLOCK_BOOTTIME), spec->timeout_usec);
        DL_APPEND(children, c);
        if (spec->before_exec && spec->before_exec(f->group, userdata) < 0)
                end(c, W_EXITCODE(126, 0), NULL);
        *ret = c;
        return 0;
}

Child *child_free(Child *c)
{
        if (!c)
                return NULL;
        c->seen->is_killed |= c->seen->is_running;
        c->seen->is_running = false;
        alarm_remove(&c->timeout);
        source_remove(&c->source);
        DL_DELETE(children, c);
        free(c);
        return NULL;
}

int child_find_program(const char *name, char **ret)
{
        if (str_after_prefix(name, "missing"))
                return -ENOENT;
        *ret = str_format("%s%s", strchr(name, '/') ? "" : "/fake/", name);
        return *ret ? 0 : -ENOMEM;
}

static Child *of(const TestChild *f)
{
        Child *c;

        DL_FOREACH(children, c)
                if (c->seen == f)
                        return c;
        return NULL;
}

TestChild *world_child(unsigned i)
{
        Child *c;

        DL_FOREACH(children, c)
                if (c->seen->is_running && i-- == 0)
                        return c->seen;
        return NULL;
}

unsigned world_n_children(void)
{
        unsigned n = 0;

        while (world_child(n))
                n++;
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

void world_report(TestChild *f, const char *line)
{
        Child *c = of(f);

        assert(c && f->is_running);
        if (c->report)
                c->report(line, c->userdata);
}

void world_child_end(TestChild *f, int status, const char *output)
{
        Child *c = of(f);

        assert(c && f->is_running);
        end(c, status > 128 ? W_EXITCODE(0, status - 128) : W_EXITCODE(status, 0), output);
}

void world_spawn_error(int error)
{
        spawn_error = error;
}
