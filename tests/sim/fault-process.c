/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Faults of processes and machines. */

#include <signal.h>
#include <string.h>

#include "sim/fault.h"
#include "world/inside.h"

/* It is the same start of the process as when the fault began. */
static bool lives(const Fault *f)
{
        return process_is_up(f->actor->process) && process_starts(f->actor->process) == f->life;
}

void fault_kill_and_hold(Actor *a)
{
        actor_hold(a);
        process_kill(a->process);
}

void fault_release(Fault *f)
{
        actor_release(f->actor);
}

static bool begin_kill(Fault *f)
{
        fault_kill_and_hold(f->actor);
        return true;
}

const FaultKind fault_kill = {.begin = begin_kill, .end = fault_release};

/* How many calls it takes is part of the step, how long it lives is not; so the fault lasts until the end of
 * all faults. */
static bool begin_late_kill(Fault *f)
{
        if (!process_is_up(f->actor->process))
                return false;
        f->actor->pause_usec = f->step->usec;
        f->lasts = true;
        return true;
}

static bool begin_kill_at(Fault *f)
{
        if (!begin_late_kill(f))
                return false;
        process_kill_at(f->actor->process, f->step->b);
        return true;
}

static bool begin_kill_at_sync(Fault *f)
{
        if (!begin_late_kill(f))
                return false;
        process_kill_at_sync(f->actor->process, f->step->b);
        return true;
}

static void end_kill_at(Fault *f)
{
        f->actor->pause_usec = 0;
        actor_start_soon(f->actor);
        if (!lives(f))
                return;
        process_kill_at(f->actor->process, 0);
        process_kill_at_sync(f->actor->process, 0);
}

const FaultKind fault_kill_at = {.begin = begin_kill_at, .end = end_kill_at};
const FaultKind fault_kill_at_sync = {.begin = begin_kill_at_sync, .end = end_kill_at};

static bool begin_orphan(Fault *f)
{
        if (!process_is_up(f->actor->process))
                return false;
        for (unsigned i = 0; i < sim.n_actors; i++)
                network_stall(f->actor, sim.actors[i], f->step->usec);
        process_kill_at(f->actor->process, f->step->b);
        f->lasts = true;
        return true;
}

const FaultKind fault_orphan = {.begin = begin_orphan, .end = end_kill_at};

/* It dies before a repair, during it, or later. */
#define REPAIR_POINTS 8u

static bool begin_sync_error(Fault *f)
{
        if (!begin_late_kill(f))
                return false;
        process_fail_sync(f->actor->process, f->step->b, 1 + (unsigned) world_random(REPAIR_POINTS));
        return true;
}

static void end_sync_error(Fault *f)
{
        end_kill_at(f);
        if (lives(f))
                process_fail_sync(f->actor->process, 0, 0);
}

const FaultKind fault_sync_error = {.begin = begin_sync_error, .end = end_sync_error};

static bool begin_terminate(Fault *f)
{
        actor_terminate(f->actor, f->step->usec);
        return false;
}

const FaultKind fault_terminate = {.begin = begin_terminate};

static bool begin_freeze(Fault *f)
{
        if (!process_is_up(f->actor->process))
                return false;
        process_freeze(f->actor->process, true);
        return true;
}

static void end_freeze(Fault *f)
{
        if (lives(f))
                process_freeze(f->actor->process, false);
}

const FaultKind fault_freeze = {.begin = begin_freeze, .end = end_freeze};

static bool begin_reload(Fault *f)
{
        f->actor->reloads = f->step->b;
        process_signal(f->actor->process, SIGHUP);
        return false;
}

const FaultKind fault_reload = {.begin = begin_reload};

/* Memory. The newest step counts, until the last one has ended. */

static unsigned n_short[ACTORS_MAX];

static bool begin_memory(Fault *f)
{
        if (!process_is_up(f->actor->process))
                return false;
        n_short[process_index(f->actor->process)]++;
        process_fail_allocations(f->actor->process, f->step->b);
        return true;
}

static void end_memory(Fault *f)
{
        if (--n_short[process_index(f->actor->process)] == 0)
                process_fail_allocations(f->actor->process, 0);
}

const FaultKind fault_memory = {.begin = begin_memory, .end = end_memory};

/* Machines. */

static unsigned n_off[MACHINES_MAX];

void power_faults_begin(void)
{
        memset(n_off, 0, sizeof n_off);
        memset(n_short, 0, sizeof n_short);
}

static unsigned *count_off(const Fault *f)
{
        unsigned i = 0;

        while (sim.machines[i] != f->machine)
                i++;
        return n_off + i;
}

static bool begin_power_off(Fault *f)
{
        static const FakeLoss losses[] = {FAKE_TEAR, FAKE_TEAR, FAKE_LOSE, FAKE_KEEP};

        if ((*count_off(f))++ > 0)
                return true;
        fault_counts()->n_lost_power++;
        machine_power_off(f->machine, losses[world_random(ELEMENTSOF(losses))]);
        for (unsigned i = 0; i < sim.n_actors; i++)
                if (sim.actors[i]->machine == f->machine) {
                        observe((Observation){.kind = OBS_POWER_OFF, .process = sim.actors[i]->process});
                        break;
                }
        return true;
}

static void end_power_off(Fault *f)
{
        if (--*count_off(f) > 0)
                return;
        machine_power_on(f->machine);
        actors_power_on(f->machine);
}

const FaultKind fault_power_off = {.of_machine = true, .begin = begin_power_off, .end = end_power_off};

static void on_sync(void *userdata)
{
        Fault *f = userdata;

        f->has_struck = true;
        (void) begin_power_off(f);
        fault_end_at(f, world_now() + f->step->usec);
}

static bool begin_power_at_sync(Fault *f)
{
        f->machine = f->actor->machine;
        f->lasts = true;
        process_on_sync(f->actor->process, f->step->b, on_sync, f);
        return true;
}

static void end_power_at_sync(Fault *f)
{
        if (f->has_struck)
                end_power_off(f);
        else
                process_on_sync(f->actor->process, 0, NULL, NULL);
}

const FaultKind fault_power_at_sync = {.begin = begin_power_at_sync, .end = end_power_at_sync};

static bool begin_suspend(Fault *f)
{
        machine_suspend(f->machine, true);
        return true;
}

static void end_suspend(Fault *f)
{
        machine_suspend(f->machine, false);
}

const FaultKind fault_suspend = {.of_machine = true, .begin = begin_suspend, .end = end_suspend};

static bool begin_clock(Fault *f)
{
        const int64_t usec = (int64_t) f->step->usec;

        machine_step_clock(f->machine, f->step->b == 1 ? -usec : usec);
        return false;
}

const FaultKind fault_clock = {.of_machine = true, .begin = begin_clock};
