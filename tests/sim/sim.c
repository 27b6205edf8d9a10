/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time-util.h"
#include "sim/caller.h"
#include "sim/fault.h"
#include "sim/handler.h"
#include "sim/look.h"
#include "sim/story.h"
#include "sim/trace.h"
#include "sim/wire-watch.h"
#include "world/memory.h"
#include "world/scheduler.h"

/* Behind the last end of a message: time for what senders and receivers still have to tell each other. A
 * receiver whose id is disputed waits some leases before it talks to anybody. */
#define REST_USEC   (20 * USEC_PER_SEC)
#define REST_LEASES 3u
/* For a graceful stop of all. */
#define STOP_USEC (150 * USEC_PER_SEC)

static struct {
        const RunOptions *options;
        RunResult *result;
        Judge *judge;
        Trace *trace;       /* NULL: not wanted */
        char **environment; /* of this program */
        uint64_t began;
        bool broken, stopped;
} run;

static void count(const Observation *o)
{
        RunResult *r = run.result;

        r->n_observations++;
        r->n_accepted += o->kind == OBS_ACCEPT && o->detail == 0;
        r->n_ended += o->kind == OBS_MESSAGE_EVENT && message_event_is_final((MessageEvent) o->number);
        r->n_kills += o->kind == OBS_KILL;
        if (o->kind == OBS_STEP)
                r->n_steps[o->step->kind]++;
}

void observe(Observation o)
{
        HOST_SCOPE;

        if (run.broken || run.stopped)
                return;
        o.at = world_now();
        o.index = run.result->n_observations + 1;
        count(&o);
        run.result->hash = trace_hash(run.result->hash, &o);
        if (run.trace)
                trace_see(run.trace, &o);
        if (run.options->story)
                story_see(run.options->story, &o);
        if (!judge_see(run.judge, &o))
                run.broken = true;
        if (run.options->trace_until > 0 && o.index >= run.options->trace_until)
                run.stopped = true;
}

static bool is_broken(void *userdata)
{
        return run.broken || run.stopped;
}

static bool is_satisfied(void *userdata)
{
        return is_broken(NULL) || judge_is_satisfied(run.judge);
}

static bool is_down(void *userdata)
{
        return is_broken(NULL) || actors_are_down(NULL);
}

static void on_log(Process *p, int level, const char *text, bool too_many, void *userdata)
{
        observe((Observation){.kind = OBS_LOG,
                        .process = p,
                        .number = (uint64_t) level,
                        .flagged = too_many,
                        .text = text});
}

static void on_step(void *userdata)
{
        const Step *step = userdata;

        observe((Observation){.kind = OBS_STEP, .step = step});
        switch (step->kind) {
        case STEP_SEND:
                caller_send(step);
                break;
        case STEP_BULK:
                caller_bulk(step);
                break;
        case STEP_CANCEL:
                caller_cancel(step);
                break;
        case STEP_REVIVE:
                caller_revive(step);
                break;
        case STEP_INSIST:
                caller_insist(step);
                break;
        case STEP_PURGE:
                caller_purge(step);
                break;
        case STEP_MEMORY:
                if (!run.options->no_allocation_failures)
                        fault_begin(step);
                break;
        default:
                fault_begin(step);
        }
}

/* Handlers get the environment of their receiver, and people read local time. */
static void begin_environment(void)
{
        static char zone[] = "TZ=UTC", *simulated[] = {zone, NULL};

        run.environment = environ;
        environ = simulated;
        tzset();
}

static void begin(const Plan *plan)
{
        begin_environment();
        memory_begin();
        world_begin();
        world_seed(plan->draws);
        scheduler_begin(plan->draws);
        run.began = world_now();
        world_on_log(on_log, NULL);
        actors_begin(plan);
        senders_begin();
        drains_begin();
        handlers_begin(plan, message_planned, NULL);
        wire_watch_begin();
        faults_begin();
        for (size_t i = 0; i < plan->n_steps; i++)
                world_call_at(run.began + plan->steps[i].at, on_step, plan->steps + i, NULL);
}

/* A run that is broken stays as it is; its processes get no chance to do more. */
static void end(void)
{
        const FaultCounts *counts = fault_counts();
        RunResult *r = run.result;

        run.stopped = true;
        r->began = run.began;
        r->virtual_usec = world_now() - run.began;
        r->n_runs = handlers_n_runs();
        r->n_effects = handlers_n_effects();
        r->n_lost_power = counts->n_lost_power;
        r->n_flips = counts->n_flips;
        process_on_end(NULL, NULL);
        for (unsigned i = 0; i < sim.n_actors; i++)
                process_kill(sim.actors[i]->process);
        handlers_end();
        wire_watch_end();
        world_on_log(NULL, NULL);
        world_end();
        environ = run.environment;
}

/* What is left of messages to several receivers goes on after their end. */
static void rest(const Plan *plan)
{
        const uint64_t until = world_now() + plan->patience_usec;
        uint64_t n_runs;

        do {
                n_runs = handlers_n_runs();
                world_run(world_now() + REST_USEC + REST_LEASES * plan->lease_usec, is_broken, NULL);
        } while (!is_broken(NULL) && world_now() < until &&
                        (child_n_alive() > 0 || handlers_n_runs() > n_runs));
}

/* With faults, then without, until everything has ended; then at rest, and stopped. */
static void take(const Plan *plan)
{
        world_run(run.began + plan->faults_end_usec, is_broken, NULL);
        if (is_broken(NULL))
                return;
        faults_end_all();
        observe((Observation){.kind = OBS_FAULTS_END});
        world_run(world_now() + plan->patience_usec, is_satisfied, NULL);
        if (!is_broken(NULL))
                rest(plan);
        if (is_broken(NULL))
                return;
        look_at_memory();
        actors_stop();
        world_run(world_now() + STOP_USEC, is_down, NULL);
        if (is_broken(NULL))
                return;
        look_at_state();
        observe((Observation){.kind = OBS_OVER});
}

static double cpu_seconds(void)
{
        struct timespec t;

        (void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

void sim_run(const Plan *plan, const RunOptions *options, RunResult *ret)
{
        const double started = cpu_seconds();

        *ret = (RunResult){.process = -1};
        run = (typeof(run)){.options = options, .result = ret, .judge = judge_new(plan, options->disabled)};
        begin(plan);
        if (options->trace)
                run.trace = trace_new(plan, run.began, stdout);
        take(plan);
        ret->verdict = *judge_verdict(run.judge);
        if (ret->verdict.process)
                ret->process = (int) process_index(ret->verdict.process);
        ret->verdict.process = NULL;
        end();
        run.trace = trace_free(run.trace);
        run.judge = judge_free(run.judge);
        ret->cpu_seconds = cpu_seconds() - started;
}
