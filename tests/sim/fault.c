/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/fault.h"

#include <utlist.h>

#include "sim/caller.h"
#include "sim/handler.h"

static const FaultKind *const kinds[_STEP_KIND_MAX] = {
                [STEP_KILL] = &fault_kill,
                [STEP_KILL_AT] = &fault_kill_at,
                [STEP_KILL_AT_SYNC] = &fault_kill_at_sync,
                [STEP_TERMINATE] = &fault_terminate,
                [STEP_POWER_OFF] = &fault_power_off,
                [STEP_FREEZE] = &fault_freeze,
                [STEP_POWER_AT_SYNC] = &fault_power_at_sync,
                [STEP_SUSPEND] = &fault_suspend,
                [STEP_RELOAD] = &fault_reload,
                [STEP_DRAIN] = &fault_drain,
                [STEP_PARTITION] = &fault_partition,
                [STEP_SLOW_LINK] = &fault_slow_link,
                [STEP_RESET] = &fault_reset,
                [STEP_BLACKHOLE] = &fault_blackhole,
                [STEP_STALL] = &fault_stall,
                [STEP_ORPHAN] = &fault_orphan,
                [STEP_LOSE_ANSWERS] = &fault_lose_answers,
                [STEP_CLOCK] = &fault_clock,
                [STEP_DISK_FULL] = &fault_disk_full,
                [STEP_DISK_SLOW] = &fault_disk_slow,
                [STEP_DISK_HANG] = &fault_disk_hang,
                [STEP_DISK_ERROR] = &fault_disk_error,
                [STEP_FLIP] = &fault_flip,
                [STEP_RESTORE] = &fault_restore,
                [STEP_CLONE] = &fault_clone,
                [STEP_SYNC_ERROR] = &fault_sync_error,
                [STEP_MEMORY] = &fault_memory,
                [STEP_FORGET] = &fault_forget,
                [STEP_REPLACE] = &fault_replace,
                [STEP_HANDLERS] = &fault_handlers,
};

static Fault *faults; /* that go on */
static FaultCounts counts;

FaultCounts *fault_counts(void)
{
        return &counts;
}

Actor *fault_target(unsigned number)
{
        return number < plan_n_processes(sim.plan) ? sim.actors[number] : NULL;
}

void faults_begin(void)
{
        faults = NULL;
        counts = (FaultCounts){};
        power_faults_begin();
        network_faults_begin();
        state_faults_begin();
}

static void end(Fault *f)
{
        DL_DELETE(faults, f);
        f->kind->end(f);
}

static void on_end(void *userdata)
{
        Fault *f = userdata;

        f->end = NULL;
        end(f);
}

void fault_end_at(Fault *f, uint64_t usec)
{
        world_call_at(usec, on_end, f, &f->end);
}

void fault_begin(const Step *step)
{
        const FaultKind *kind = kinds[step->kind];
        Fault *f = world_alloc(sizeof *f);

        f->step = step;
        f->kind = kind;
        if (kind->of_machine)
                f->machine = step->a < sim.plan->n_machines ? sim.machines[step->a] : NULL;
        else
                f->actor = fault_target(step->a);
        if (!f->actor && !f->machine)
                return;
        if (kind->of_receiver && f->actor->role != ROLE_RECEIVER)
                return;
        f->life = f->actor ? process_starts(f->actor->process) : 0;
        if (!kind->begin(f) || !kind->end)
                return;
        DL_APPEND(faults, f);
        if (!f->lasts)
                fault_end_at(f, world_now() + step->usec);
}

void faults_end_all(void)
{
        while (faults) {
                Fault *f = faults;

                world_cancel(f->end);
                f->end = NULL;
                end(f);
        }
        network_faults_end();
        state_faults_end();
        drains_resume_all();
}

/* Of handlers and receivers. */

static bool begin_drain(Fault *f)
{
        caller_drain(f->actor->number, true);
        return true;
}

static void end_drain(Fault *f)
{
        for (const Fault *other = faults; other; other = other->next)
                if (other->kind == f->kind && other->actor == f->actor)
                        return;
        caller_drain(f->actor->number, false);
}

const FaultKind fault_drain = {.of_receiver = true, .begin = begin_drain, .end = end_drain};

static bool begin_handlers(Fault *f)
{
        handlers_set_mood(f->actor->number, (HandlerMood) f->step->b);
        return true;
}

/* The newest of those that go on decides. */
static void end_handlers(Fault *f)
{
        HandlerMood mood = MOOD_NORMAL;

        for (const Fault *other = faults; other; other = other->next)
                if (other->kind == f->kind && other->actor == f->actor)
                        mood = (HandlerMood) other->step->b;
        handlers_set_mood(f->actor->number, mood);
}

const FaultKind fault_handlers = {.of_receiver = true, .begin = begin_handlers, .end = end_handlers};
