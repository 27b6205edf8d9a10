/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/plan.h"

#include <stdlib.h>
#include <string.h>

#include "sim/plan-draft.h"

static bool is_load(StepKind kind)
{
        return kind < STEP_KILL;
}

Step *draft_add(PlanDraft *d, StepKind kind, uint64_t at)
{
        Plan *p = d->plan;

        if (p->n_steps == d->allocated) {
                d->allocated = MAX(2 * d->allocated, 64u);
                p->steps = reallocarray(p->steps, d->allocated, sizeof *p->steps);
                assert(p->steps);
        }
        p->steps[p->n_steps] = (Step){.index = (unsigned) p->n_steps, .kind = kind, .at = at};
        return p->steps + p->n_steps++;
}

static int compare_steps(const void *a, const void *b)
{
        const Step *x = a, *y = b;

        if (x->at != y->at)
                return x->at < y->at ? -1 : 1;
        return x->index < y->index ? -1 : x->index > y->index;
}

static void sort_steps(Plan *p)
{
        if (p->n_steps > 0)
                qsort(p->steps, p->n_steps, sizeof *p->steps, compare_steps);
        for (size_t i = 0; i < p->n_steps; i++)
                p->steps[i].index = (unsigned) i + 1;
}

static uint64_t step_end(const Plan *p, const Step *s)
{
        uint64_t end = s->at;

        if (s->kind != STEP_CLOCK)
                end += s->usec;
        /* Until then it is stopping. */
        if (s->kind == STEP_TERMINATE)
                end += p->stop_timeout_usec + 10 * USEC_PER_SEC;
        return end;
}

static uint64_t message_time(const Plan *p, const PlannedMessage *g)
{
        const uint64_t work = MIN(g->work_usec, p->handler_timeout_usec);
        /* A long run may meet the time limit, and is repeated. */
        const uint64_t repeats = g->work_usec > p->handler_timeout_usec / 2 ? 3 : 1;
        const uint64_t runs = repeats + g->failures + g->poison + g->max_attempts;

        return runs * work + (g->failures + g->poison) * p->backoff_max_usec;
}

static void set_end(Plan *p)
{
        uint64_t work = 0, latest = 0, clock = 0;

        p->faults_end_usec = 0;
        for (size_t i = 0; i < p->n_steps; i++) {
                const Step *s = p->steps + i;
                const uint64_t end = step_end(p, s),
                               wait = MAX(s->message.delay_usec, s->message.deadline_usec);

                p->faults_end_usec = MAX(p->faults_end_usec, end);
                if (s->kind == STEP_SEND || s->kind == STEP_BULK) {
                        work += (s->kind == STEP_BULK ? s->b : 1) * message_time(p, &s->message);
                        latest = MAX(latest, s->at + wait);
                }
                /* Delayed messages wait longer when the clock steps back. */
                if (s->kind == STEP_CLOCK)
                        clock += s->usec;
        }
        p->faults_end_usec += USEC_PER_MSEC;
        p->patience_usec = 300 * USEC_PER_SEC + 4 * p->lease_usec + 10 * p->backoff_max_usec +
                           4 * p->ack_timeout_usec + work + latest - MIN(latest, p->faults_end_usec) + clock;
}

/* The group is given time to find together before something happens, in most runs. */
static void shift_steps(Plan *p)
{
        Draw d = draw_begin(p->seed, "start", 0);
        const uint64_t usec = draw_between(&d, 1500 * USEC_PER_MSEC, 4 * USEC_PER_SEC);

        if (draw_chance(&d, 85))
                for (size_t i = 0; i < p->n_steps; i++)
                        p->steps[i].at += usec;
}

Plan *plan_copy_without(const Plan *p, const bool *left_out)
{
        Plan *q = malloc(sizeof *q);

        assert(q);
        *q = *p;
        q->steps = calloc(MAX(p->n_steps, 1u), sizeof *q->steps);
        assert(q->steps);
        q->n_steps = 0;
        for (size_t i = 0; i < p->n_steps; i++)
                if (!left_out || !left_out[i])
                        q->steps[q->n_steps++] = p->steps[i];
        return q;
}

Plan *plan_free(Plan *p)
{
        if (p)
                free(p->steps);
        free(p);
        return NULL;
}

const char *const *plan_profiles(void)
{
        static const char *names[64];

        for (size_t i = 0; profiles_table[i].name; i++) {
                assert(i + 1 < ELEMENTSOF(names));
                names[i] = profiles_table[i].name;
        }
        return names;
}

/* Limits. */

static unsigned limited(unsigned n, unsigned limit)
{
        return limit > 0 && limit < n ? limit : n;
}

/* A process that is not there any more hands its part on to another one of its kind. */
static unsigned real_process(const Plan *p, unsigned draft)
{
        if (draft == 0)
                return 0;
        if (draft <= CLIENTS_MAX)
                return plan_process_of_client(p, (draft - 1) % p->n_clients);
        return plan_process_of_receiver(p, (draft - 1 - CLIENTS_MAX) % p->n_receivers);
}

static void limit_message(const Plan *p, PlannedMessage *g)
{
        unsigned n = 0;

        g->receiver %= p->n_receivers;
        for (unsigned i = 0; i < p->n_receivers; i++)
                n += g->group == 0 || p->group_of_receiver[i] == g->group;
        if (n == 0) {
                g->group = 0;
                n = p->n_receivers;
        }
        g->quorum = MIN(g->quorum, n);
}

/* Returns false if nothing is left of the step. */
static bool limit_load(const Plan *p, Step *s, unsigned n_messages)
{
        s->a %= p->n_clients;
        if (s->kind == STEP_CANCEL)
                return s->b < n_messages;
        if (s->kind != STEP_SEND && s->kind != STEP_BULK)
                return true;
        if (s->message.number >= n_messages)
                return false;
        if (s->kind == STEP_BULK)
                s->b = MIN(s->b, n_messages - s->message.number);
        limit_message(p, &s->message);
        return true;
}

static bool limit_fault(const Plan *p, Step *s)
{
        switch (s->kind) {
        case STEP_RESET:
        case STEP_BLACKHOLE:
        case STEP_STALL:
                s->a = real_process(p, s->a);
                s->b = real_process(p, s->b);
                return true;
        case STEP_PARTITION:
        case STEP_SLOW_LINK:
                s->a %= p->n_machines;
                s->b %= p->n_machines;
                return s->a != s->b || s->kind != STEP_PARTITION;
        case STEP_POWER_OFF:
        case STEP_SUSPEND:
        case STEP_CLOCK:
        case STEP_DISK_FULL:
        case STEP_DISK_SLOW:
        case STEP_DISK_HANG:
        case STEP_DISK_ERROR:
                s->a %= p->n_machines;
                return true;
        default:
                s->a = real_process(p, s->a);
                return true;
        }
}

static void limit_plan(PlanDraft *d, const PlanLimits *limits)
{
        Plan *p = d->plan;
        size_t n = 0, n_faults = 0;

        p->n_clients = limited(p->n_clients, limits->clients);
        p->n_receivers = limited(p->n_receivers, limits->receivers);
        p->n_machines = limited(p->n_machines, limits->machines);
        p->n_messages = limited(p->n_messages, limits->messages);
        p->machine_of_discovery %= p->n_machines;
        for (unsigned i = 0; i < CLIENTS_MAX; i++)
                p->machine_of_client[i] %= p->n_machines;
        for (unsigned i = 0; i < RECEIVERS_MAX; i++)
                p->machine_of_receiver[i] %= p->n_machines;
        for (size_t i = 0; i < p->n_steps; i++) {
                Step s = p->steps[i];

                if (is_load(s.kind) ? !limit_load(p, &s, p->n_messages)
                                    : !limit_fault(p, &s) || (limits->faults > 0 &&
                                                                             n_faults == limits->faults))
                        continue;
                n_faults += !is_load(s.kind);
                p->steps[n++] = s;
        }
        p->n_steps = n;
}

Plan *plan_new(uint64_t seed, const char *profile, const PlanLimits *limits)
{
        static const PlanLimits none;
        const Profile *f = profile ? profile_find(profile) : profile_draw(seed);
        PlanDraft d = {};

        if (!f)
                return NULL;
        d.profile = f;
        d.plan = calloc(1, sizeof *d.plan);
        assert(d.plan);
        d.plan->seed = d.plan->draws = seed;
        d.plan->profile = f->name;
        draft_group(&d);
        draft_faults(&d);
        draft_load(&d);
        sort_steps(d.plan);
        shift_steps(d.plan);
        limit_plan(&d, limits ?: &none);
        set_end(d.plan);
        return d.plan;
}
