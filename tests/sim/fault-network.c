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

/* Bytes of a socket that the kernels hold. */
#define ROOM_MIN ((size_t) 4 << 10)
#define ROOM_MAX ((size_t) 256 << 10)

/* After so long a connection ends whose bytes get lost; as ACCEPTED_SILENCE_USEC does. */
#define SILENCE_MIN_USEC (5 * USEC_PER_SEC)
#define SILENCE_MAX_USEC (20 * USEC_PER_SEC)

static struct {
        unsigned n_down, n_slow;
} links[MACHINES_MAX][MACHINES_MAX];
static bool calm;

static void set_link(unsigned from, unsigned to)
{
        const Plan *p = sim.plan;
        NetLink link = {
                        .delay_min_usec = from == to ? LOCAL_MIN_USEC : p->net_min_usec,
                        .delay_max_usec = from == to ? LOCAL_MAX_USEC : p->net_max_usec,
                        .piece_max = p->net_piece_max,
                        .down = links[from][to].n_down > 0,
        };

        if (links[from][to].n_slow > 0) {
                link.delay_min_usec = SLOW_MIN_USEC;
                link.delay_max_usec = SLOW_MAX_USEC;
        } else if (calm) {
                link.delay_min_usec = MIN(link.delay_min_usec, CALM_MAX_USEC);
                link.delay_max_usec = MIN(link.delay_max_usec, CALM_MAX_USEC);
        }
        net_set(sim.machines[from], sim.machines[to], &link);
}

static void set_links(void)
{
        for (unsigned from = 0; from < sim.plan->n_machines; from++)
                for (unsigned to = 0; to < sim.plan->n_machines; to++)
                        set_link(from, to);
}

void network_faults_begin(void)
{
        memset(links, 0, sizeof links);
        net_set_room(ROOM_MIN, ROOM_MAX);
        calm = false;
        set_links();
}

void network_faults_end(void)
{
        calm = true;
        set_links();
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

/* A kernel repeats what got lost: that of a client for the ack timeout, that of a receiver for longer. */
void network_stall(const Actor *from, const Actor *to, uint64_t usec)
{
        if (from->role == ROLE_CLIENT)
                usec = MIN(usec, sim.plan->ack_timeout_usec);
        net_stall(from->process, to->process, usec);
}

static bool begin_stall(Fault *f)
{
        const Actor *b = fault_target(f->step->b);

        if (b)
                network_stall(f->actor, b, f->step->usec);
        return false;
}

const FaultKind fault_stall = {.begin = begin_stall};

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
