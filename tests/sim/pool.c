/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/pool.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/time-util.h"
#include "sim/pool-child.h"

#define CHILDREN_MAX 256u
#define MEMORY_MAX   (UINT64_C(3) << 30) /* of one child */
#define OUTPUT_MAX   UINT64_C(65536)     /* of one run, the end of it */

typedef struct Child {
        pid_t pid; /* 0: none */
        int reports, output;
        uint64_t next, end;   /* jobs that it has not finished; `next` may be under way */
        bool is_running;      /* `next` has begun */
        uint64_t began;       /* real time */
        bool is_stopped;      /* killed by us, because of its time */
        uint64_t output_from; /* where the output of this run begins */
} Child;

typedef struct Pool {
        const PoolTask *task;
        Child children[CHILDREN_MAX];
        uint64_t next, end;
        unsigned n_alive;
        uint64_t looked; /* at the memory of children; real time */
} Pool;

uint64_t pool_now(void)
{
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * USEC_PER_SEC + (uint64_t) t.tv_nsec / 1000;
}

uint64_t output_size(int fd)
{
        struct stat s;

        return fd < 0 || fstat(fd, &s) < 0 ? 0 : (uint64_t) s.st_size;
}

static int start_child(Pool *p, Child *c, uint64_t from, uint64_t to)
{
        int fds[2], output = p->task->show_output ? -1 : memfd_create("output", MFD_CLOEXEC);
        pid_t pid;

        if (pipe(fds) < 0)
                return -errno;
        (void) fflush(NULL);
        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0) {
                (void) close(fds[0]);
                pool_child(p->task, from, to, fds[1], output);
        }
        (void) close(fds[1]);
        *c = (Child){.pid = pid,
                        .reports = fds[0],
                        .output = output,
                        .next = from,
                        .end = to,
                        .began = pool_now()};
        p->n_alive++;
        return 0;
}

/* What the child wrote during its last run, or the end of it; malloc'ed. */
static char *read_output(const Child *c, uint64_t end)
{
        const uint64_t from = MAX(c->output_from, end - MIN(end, OUTPUT_MAX));
        char *text = calloc(1, OUTPUT_MAX + 1);

        assert(text);
        if (c->output >= 0 && from < end && pread(c->output, text, end - from, (off_t) from) < 0)
                text[0] = 0;
        return text;
}

/* What an assertion or a sanitizer says of it tells crashes apart. */
static void add_reason(const char *output, RunReport *r)
{
        const char *at = strstr(output, "SUMMARY: ") ?: strstr(output, "Assertion ");
        const size_t n = strlen(r->text);

        if (at)
                (void) snprintf(r->text + n, sizeof r->text - n, " %.*s", (int) strcspn(at, "\n"), at);
}

static void tell(Pool *p, const Child *c, RunReport *r, uint64_t output_end)
{
        char *output = read_output(c, output_end);

        if (strcmp(r->rule, RULE_CRASH) == 0)
                add_reason(output, r);
        p->task->done(r, output, p->task->userdata);
        free(output);
}

/* Returns false at the end of the pipe. */
static bool read_reports(Pool *p, Child *c)
{
        PoolMessage m;
        ssize_t n;

        do
                n = read(c->reports, &m, sizeof m);
        while (n < 0 && errno == EINTR);
        if (n != (ssize_t) sizeof m)
                return false;
        c->began = pool_now();
        c->is_running = m.begins;
        if (m.begins) {
                c->output_from = m.output_size;
        } else {
                tell(p, c, &m.report, m.output_size);
                c->next = m.report.job + 1;
        }
        return true;
}

static void say_how_it_died(const Child *c, int status, RunReport *r)
{
        const bool hung = c->is_stopped || (WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF);

        (void) snprintf(r->rule, sizeof r->rule, "%s", hung ? RULE_HANG : RULE_CRASH);
        if (hung)
                (void) snprintf(r->text, sizeof r->text,
                                "The run did not end within its limits of time and memory.");
        else if (WIFSIGNALED(status))
                (void) snprintf(r->text, sizeof r->text, "The program was killed by signal %d (%s).",
                                WTERMSIG(status), strsignal(WTERMSIG(status)));
        else
                (void) snprintf(r->text, sizeof r->text, "The program ended with status %d.",
                                WEXITSTATUS(status));
}

/* The child has ended. What it did not do is done by another one. */
static int end_child(Pool *p, Child *c)
{
        RunReport r = {.job = c->next, .at = UINT64_MAX, .result.process = -1};
        int status = 0;

        (void) waitpid(c->pid, &status, 0);
        (void) close(c->reports);
        p->n_alive--;
        c->pid = 0;
        if (c->next < c->end && (c->is_running || status != 0)) {
                say_how_it_died(c, status, &r);
                tell(p, c, &r, output_size(c->output));
                c->next++;
        }
        if (c->output >= 0)
                (void) close(c->output);
        return c->next < c->end ? start_child(p, c, c->next, c->end) : 0;
}

static int fill_up(Pool *p)
{
        const PoolTask *t = p->task;
        const uint64_t left = p->end - p->next, fair = left / (4 * (uint64_t) t->n_children) + 1;
        const uint64_t batch = t->batch ?: MIN(fair, 16u);
        int r = 0;

        for (unsigned i = 0; i < t->n_children && p->next < p->end && r == 0; i++)
                if (p->children[i].pid == 0) {
                        const uint64_t to = p->end - p->next > batch ? p->next + batch : p->end;

                        r = start_child(p, p->children + i, p->next, to);
                        p->next = to;
                }
        return r;
}

/* Resident memory, bytes. */
static uint64_t memory_of(pid_t pid)
{
        char path[32];
        unsigned long pages = 0;
        FILE *from;

        (void) snprintf(path, sizeof path, "/proc/%d/statm", (int) pid);
        from = fopen(path, "re");
        if (from) {
                if (fscanf(from, "%*u %lu", &pages) != 1)
                        pages = 0;
                (void) fclose(from);
        }
        return (uint64_t) pages * (uint64_t) sysconf(_SC_PAGESIZE);
}

/* A run without an end must not take the machine with it. */
static void stop_wild_ones(Pool *p)
{
        const uint64_t now = pool_now(), limit = (4 * (uint64_t) p->task->cpu_seconds + 60) * USEC_PER_SEC;

        if (now - p->looked < USEC_PER_SEC / 4)
                return;
        p->looked = now;
        for (unsigned i = 0; i < p->task->n_children; i++) {
                Child *c = p->children + i;

                if (c->pid > 0 && c->is_running &&
                                (now - c->began > limit || memory_of(c->pid) > MEMORY_MAX)) {
                        c->is_stopped = true;
                        (void) kill(c->pid, SIGKILL);
                }
        }
}

static int wait_for_some(Pool *p)
{
        struct pollfd fds[CHILDREN_MAX];
        Child *of[CHILDREN_MAX];
        nfds_t n = 0;
        int r = 0;

        for (unsigned i = 0; i < p->task->n_children; i++)
                if (p->children[i].pid > 0) {
                        of[n] = p->children + i;
                        fds[n++] = (struct pollfd){.fd = p->children[i].reports, .events = POLLIN};
                }
        stop_wild_ones(p);
        if (poll(fds, n, 200) < 0)
                return errno == EINTR ? 0 : -errno;
        for (nfds_t i = 0; i < n && r >= 0; i++) {
                if (fds[i].revents & POLLIN) {
                        if (!read_reports(p, of[i]))
                                r = end_child(p, of[i]);
                } else if (fds[i].revents)
                        r = end_child(p, of[i]);
        }
        return r;
}

static void drop_children(Pool *p)
{
        for (unsigned i = 0; i < p->task->n_children; i++) {
                Child *c = p->children + i;

                if (c->pid == 0)
                        continue;
                (void) kill(c->pid, SIGKILL);
                (void) waitpid(c->pid, NULL, 0);
                (void) close(c->reports);
                if (c->output >= 0)
                        (void) close(c->output);
        }
}

int pool_run(const PoolTask *t)
{
        Pool *p = calloc(1, sizeof *p);
        int r = 0;

        assert(p && t->n_children > 0 && t->n_children <= CHILDREN_MAX);
        p->task = t;
        p->next = t->first;
        p->end = t->n > UINT64_MAX - t->first ? UINT64_MAX : t->first + t->n;
        for (;;) {
                if (t->go_on && !t->go_on(t->userdata))
                        break;
                r = fill_up(p);
                if (r < 0 || p->n_alive == 0)
                        break;
                r = wait_for_some(p);
                if (r < 0)
                        break;
        }
        drop_children(p);
        free(p);
        return r;
}
