/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/pool-child.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/time-util.h"

static void limit_child(void)
{
        const struct rlimit none = {0, 0};

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void) setrlimit(RLIMIT_CORE, &none);
}

static void limit_run(unsigned cpu_seconds)
{
        const struct itimerval limit = {.it_value.tv_sec = cpu_seconds};

        (void) setitimer(ITIMER_PROF, &limit, NULL);
}

static void write_all(int fd, const void *data, size_t n)
{
        const char *at = data;

        while (n > 0) {
                const ssize_t k = write(fd, at, n);

                if (k <= 0)
                        _exit(EXIT_FAILURE);
                at += k;
                n -= (size_t) k;
        }
}

static void fill_report(RunReport *r)
{
        RunResult *result = &r->result;
        const Verdict *v = &result->verdict;

        r->at = v->rule ? v->at - result->began : UINT64_MAX;
        if (v->rule) {
                (void) snprintf(r->rule, sizeof r->rule, "%s", v->rule);
                (void) snprintf(r->text, sizeof r->text, "%s", v->text);
        }
        result->verdict.rule = NULL;
        result->verdict.process = NULL;
}

static void run_again(const Plan *p, const RunOptions *options, RunReport *r)
{
        RunOptions quiet = *options;
        RunResult again = {};

        quiet.trace = false;
        quiet.story = NULL;
        sim_run(p, &quiet, &again);
        if (again.hash == r->result.hash)
                return;
        (void) snprintf(r->rule, sizeof r->rule, RULE_REPEATS);
        (void) snprintf(r->text, sizeof r->text,
                        "The same plan, run again, has the hash %016llx instead of %016llx "
                        "(%llu and %llu observations).",
                        (unsigned long long) again.hash, (unsigned long long) r->result.hash,
                        (unsigned long long) again.n_observations,
                        (unsigned long long) r->result.n_observations);
}

void pool_run_here(const PoolTask *t, uint64_t job, RunReport *ret)
{
        RunOptions options = *t->options;
        Recipe recipe = {};
        Plan *p;

        *ret = (RunReport){.job = job};
        t->make(job, &recipe, t->userdata);
        p = recipe_plan(&recipe);
        assert(p);
        if (t->before)
                t->before(p, &options, t->userdata);
        sim_run(p, &options, &ret->result);
        fill_report(ret);
        if (t->after)
                t->after(p, &options, ret, t->userdata);
        if (t->twice && report_is_good(ret))
                run_again(p, &options, ret);
        (void) plan_free(p);
        recipe_clear(&recipe);
}

_Noreturn void pool_child(const PoolTask *t, uint64_t from, uint64_t to, int reports, int output)
{
        static PoolMessage m; /* static: no bytes between its fields are undefined */

        if (output >= 0) {
                (void) dup2(output, STDOUT_FILENO);
                (void) dup2(output, STDERR_FILENO);
        }
        limit_child();
        /* The last lines matter most, and a crash writes nothing out. */
        if (t->options->trace && output >= 0)
                (void) setvbuf(stdout, NULL, _IOLBF, 0);
        for (uint64_t job = from; job < to; job++) {
                (void) fflush(NULL);
                m.begins = true;
                m.output_size = output_size(output);
                write_all(reports, &m, sizeof m);
                limit_run(t->cpu_seconds);
                pool_run_here(t, job, &m.report);
                limit_run(0);
                (void) fflush(NULL);
                m.begins = false;
                m.output_size = output_size(output);
                write_all(reports, &m, sizeof m);
        }
        _exit(EXIT_SUCCESS);
}
