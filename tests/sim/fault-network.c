/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Faults of the network. */

#include <string.h>

#include "base/time-util.h"
#include "sim/fault.h"

/* Of each piece, on a slow link. */
#define SLOW_MIN_USEC (20 * USEC_PER_MSEC)
#define SLOW_MAX_USEC (400 * USEC_PER_MSEC)

/* Inside of a machine. */
#define LOCAL_MIN_USEC 5u
#define LOCAL_MAX_USEC 100u

/* After so long a connection ends whose bytes get lost; as ACCEPTED_SILENCE_USEC does. */
#define SILENCE_MIN_USEC (5 * USEC_PER_SEC)
#define SILENCE_MAX_USEC (20 * USEC_PER_SEC)

static struct {
        unsigned n_down, n_slow;
} links[MACHINES_MAX][MACHINES_MAX];

static void set_link(unsigned from, unsigned to)
{
        const bool local = from == to, slow = links[from][to].n_slow > 0;
        const NetLink link = {
                        .delay_min_usec = slow    ? SLOW_MIN_USEC
                                          : local ? LOCAL_MIN_USEC
                                                  : sim.plan->net_min_usec,
                        .delay_max_usec = slow    ? SLOW_MAX_USEC
                                          : local ? LOCAL_MAX_USEC
                                                  : sim.plan->net_max_usec,
                        .piece_max = sim.plan->net_piece_max,
                        .down = links[from][to].n_down > 0,
        };

        net_set(sim.machines[from], sim.machines[to], &link);
}

void network_faults_begin(void)
{
        memset(links, 0, sizeof links);
        for (unsigned from = 0; from < sim.plan->n_machines; from++)
                for (unsigned to = 0; to < sim.plan->n_machines; to++)
                        set_link(from, to);
}

/* Nothing separates a machine from itself. */
static bool begin_partition(Fault *f)
{
        const Step *s = f->step;

        if (s->b >= sim.plan->n_machines || s->a == s->b)
                return false;
        links[s->a][s->b].n_down++;
        set_link(s->a, s->b);
        return true;
}

static void end_partition(Fault *f)
{
        links[f->step->a][f->step->b].n_down--;
        set_link(f->step->a, f->step->b);
}

const FaultKind fault_partition = {.of_machine = true, .begin = begin_partition, .end = end_partition};

static bool begin_slow(Fault *f)
{
        const Step *s = f->step;

        if (s->b >= sim.plan->n_machines)
                return false;
        links[s->a][s->b].n_slow++;
        set_link(s->a, s->b);
        return true;
}

static void end_slow(Fault *f)
{
        links[f->step->a][f->step->b].n_slow--;
        set_link(f->step->a, f->step->b);
}

const FaultKind fault_slow_link = {.of_machine = true, .begin = begin_slow, .end = end_slow};

static bool begin_reset(Fault *f)
{
        const Actor *b = fault_target(f->step->b);

        if (b)
                (void) net_reset(f->actor->process, b->process);
        return false;
}

const FaultKind fault_reset = {.begin = begin_reset};

/* The kernel of `a` repeats what gets lost, and gives up after some time. */
static void on_silence(void *userdata)
{
        const Fault *f = userdata;

        (void) net_reset(f->actor->process, fault_target(f->step->b)->process);
}

static bool begin_blackhole(Fault *f)
{
        const Actor *b = fault_target(f->step->b);

        if (b && net_blackhole(f->actor->process, b->process) > 0)
                world_call_at(world_now() + world_random_between(SILENCE_MIN_USEC, SILENCE_MAX_USEC),
                                on_silence, f, NULL);
        return false;
}

const FaultKind fault_blackhole = {.begin = begin_blackhole};

static bool begin_lose_answers(Fault *f)
{
        net_lose_answers(f->actor->process, f->step->b);
        f->lasts = true;
        return true;
}

static void end_lose_answers(Fault *f)
{
        net_lose_answers(f->actor->process, 0);
}

const FaultKind fault_lose_answers = {.begin = begin_lose_answers, .end = end_lose_answers};
