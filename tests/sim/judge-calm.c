/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Until when the steps of the plan disturb something. Some promises about time hold only while nothing does.
 */
#include "sim/judge-duties.h"

/* Processes may take so long to come back after a step. */
#define AFTER_USEC (5 * USEC_PER_SEC)

typedef enum Target { NOTHING, PROCESS, MACHINE, MACHINE_OF, NETWORK } Target;

typedef struct Effect {
        Target target;
        bool stalls;   /* what it hits is slow, or cannot be reached */
        bool lasts;    /* until all faults end */
        bool may_last; /* the same, unless the step says for how long */
} Effect;

static const Effect effects[_STEP_KIND_MAX] = {
                [STEP_KILL] = {PROCESS},
                [STEP_KILL_AT] = {PROCESS, .lasts = true},
                [STEP_KILL_AT_SYNC] = {PROCESS, .lasts = true},
                [STEP_TERMINATE] = {PROCESS},
                [STEP_POWER_OFF] = {MACHINE},
                [STEP_FREEZE] = {PROCESS, .stalls = true},
                [STEP_POWER_AT_SYNC] = {MACHINE_OF, .lasts = true},
                [STEP_SUSPEND] = {MACHINE, .stalls = true},
                [STEP_RELOAD] = {PROCESS},
                [STEP_DRAIN] = {PROCESS},
                [STEP_PARTITION] = {NETWORK, .stalls = true},
                [STEP_SLOW_LINK] = {NETWORK, .stalls = true},
                [STEP_RESET] = {NETWORK},
                [STEP_BLACKHOLE] = {NETWORK, .stalls = true}, /* the connections of that moment, for ever */
                [STEP_STALL] = {NETWORK, .stalls = true},
                [STEP_ORPHAN] = {NETWORK, .stalls = true, .lasts = true},
                [STEP_LOSE_ANSWERS] = {NETWORK, .stalls = true, .lasts = true},
                [STEP_CLOCK] = {MACHINE},
                [STEP_DISK_FULL] = {MACHINE, .stalls = true},
                [STEP_DISK_SLOW] = {MACHINE, .stalls = true},
                [STEP_DISK_HANG] = {MACHINE, .stalls = true},
                [STEP_DISK_ERROR] = {MACHINE, .stalls = true, .may_last = true},
                [STEP_FLIP] = {PROCESS},
                [STEP_RESTORE] = {PROCESS},
                [STEP_CLONE] = {PROCESS},
                [STEP_SYNC_ERROR] = {PROCESS, .stalls = true, .lasts = true},
                [STEP_MEMORY] = {PROCESS, .stalls = true},
                [STEP_FORGET] = {PROCESS},
                [STEP_REPLACE] = {PROCESS},
};

unsigned plan_machine_of(const Plan *p, unsigned process)
{
        if (process == 0)
                return p->machine_of_discovery;
        process--;
        return process < p->n_clients ? p->machine_of_client[process]
                                      : p->machine_of_receiver[process - p->n_clients];
}

/* Number `a` of the step and this process. */
static bool hits(const Plan *p, Target target, unsigned a, unsigned process)
{
        switch (target) {
        case PROCESS:
                return process == a;
        case MACHINE:
                return plan_machine_of(p, process) == a;
        case MACHINE_OF:
                return plan_machine_of(p, process) == plan_machine_of(p, a);
        default:
                return false;
        }
}

static void disturb(JProcess *p, uint64_t until)
{
        p->disturbed_until = MAX(p->disturbed_until, until);
}

void calm_step(Judge *j, const Step *s)
{
        const Effect *e = effects + s->kind;
        const bool lasts = e->lasts || (e->may_last && s->usec == 0);
        const uint64_t until = lasts ? USEC_INFINITY : j->o->at + s->usec + AFTER_USEC;

        if (e->target == NOTHING)
                return;
        j->disturbed_until = MAX(j->disturbed_until, until);
        if (e->stalls)
                j->stalled_until = MAX(j->stalled_until, until), times_stalled(j);
        for (unsigned i = 0; i < plan_n_processes(j->plan); i++)
                if (hits(j->plan, e->target, s->a, i))
                        disturb(j->processes + i, until);
}

void calm_faults_end(Judge *j)
{
        const uint64_t until = j->o->at + AFTER_USEC;

        j->disturbed_until = MIN(j->disturbed_until, until);
        j->stalled_until = MIN(j->stalled_until, until);
        times_stalled(j);
        for (unsigned i = 0; i < plan_n_processes(j->plan); i++)
                j->processes[i].disturbed_until = MIN(j->processes[i].disturbed_until, until);
}
