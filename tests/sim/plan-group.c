/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The group and its configuration. */

#include "sim/plan-draft.h"

#define PICK(d, ...)                                                                                        \
        ({                                                                                                  \
                static const uint64_t _values[] = {__VA_ARGS__};                                            \
                _values[draw_below(d, ELEMENTSOF(_values))];                                                \
        })

static unsigned within(Draw *d, Range r)
{
        return (unsigned) draw_between(d, r.min, r.max);
}

static void draw_nodes(PlanDraft *draft)
{
        Plan *p = draft->plan;
        Draw d = draw_begin(p->seed, "nodes", 0);

        p->n_machines = within(&d, draft->profile->machines);
        p->n_clients = within(&d, draft->profile->clients);
        p->n_receivers = within(&d, draft->profile->receivers);
        p->machine_of_discovery = (unsigned) draw_below(&d, p->n_machines);
        for (unsigned i = 0; i < CLIENTS_MAX; i++)
                p->machine_of_client[i] = (unsigned) draw_below(&d, p->n_machines);
        for (unsigned i = 0; i < RECEIVERS_MAX; i++) {
                p->machine_of_receiver[i] = (unsigned) draw_below(&d, p->n_machines);
                p->group_of_receiver[i] = 1 + (unsigned) draw_below(&d, 2);
        }
}

static void draw_receivers(PlanDraft *draft)
{
        Plan *p = draft->plan;
        Draw d = draw_begin(p->seed, "receivers", 0);
        const unsigned concurrency_max = draft->profile->crowded ? 2 : draft->profile->fast ? 32 : 8;
        const unsigned concurrency_min = draft->profile->fast ? 8 : 1;
        const unsigned queue_max = draft->profile->crowded ? 2 : draft->profile->fast ? 64 : 16;

        for (unsigned i = 0; i < RECEIVERS_MAX; i++) {
                p->concurrency[i] = (unsigned) draw_log(&d, concurrency_min, concurrency_max);
                p->queue[i] = (unsigned) draw_between(&d, draft->profile->fast ? 16 : 0, queue_max);
                p->activated[i] = draw_chance(&d, 50);
        }
}

static void draw_times(PlanDraft *draft)
{
        Plan *p = draft->plan;
        Draw d = draw_begin(p->seed, "times", 0);
        const Range seconds = draft->profile->seconds;

        draft->length_usec = draw_between(&d, seconds.min * USEC_PER_SEC, seconds.max * USEC_PER_SEC);
        p->handler_timeout_usec = PICK(&d, 1, 2, 5, 10, 30, 60) * USEC_PER_SEC;
        p->stop_timeout_usec = PICK(&d, 500, 2000, 5000, 25000) * USEC_PER_MSEC;
        p->lease_usec = PICK(&d, 2, 5, 10, 30) * USEC_PER_SEC;
        p->ack_timeout_usec = PICK(&d, 300, 1000, 2000, 5000, 5000, 10000) * USEC_PER_MSEC;
        p->backoff_usec = PICK(&d, 10, 100, 500, 1000, 1000) * USEC_PER_MSEC;
        p->backoff_max_usec = PICK(&d, 1, 5, 30, 60) * USEC_PER_SEC;
}

static void draw_limits(PlanDraft *draft)
{
        Plan *p = draft->plan;
        Draw d = draw_begin(p->seed, "limits", 0);
        const bool small = draw_chance(&d, 10);
        const unsigned limit = (unsigned) draw_log(&d, 5, 100);

        p->outbox_limit = draft->profile->crowded || small ? limit : 100000;
        p->history = (unsigned) PICK(&d, 0, 1, 10, 1000, 1000);
}

static void draw_speeds(PlanDraft *draft)
{
        const Profile *f = draft->profile;
        Plan *p = draft->plan;
        Draw d = draw_begin(p->seed, "speeds", 0);
        const uint64_t net_top = f->fast ? 500 : f->slow_net ? p->ack_timeout_usec : 50 * USEC_PER_MSEC;
        const uint64_t sync_top = f->fast ? 2000 : f->slow_disk ? 3 * USEC_PER_SEC : 30 * USEC_PER_MSEC;
        const bool cut = draw_chance(&d, 40);
        const unsigned piece = (unsigned) draw_log(&d, 1, 4096);

        p->net_min_usec = draw_log(&d, 20, f->fast ? 200 : 2000);
        p->net_max_usec = draw_log(&d, p->net_min_usec, net_top);
        p->net_piece_max = cut && !f->fast ? piece : 0;
        p->write_min_usec = draw_log(&d, 1, 20);
        p->write_max_usec = draw_log(&d, p->write_min_usec, f->slow_disk ? 2000 : 50);
        p->sync_min_usec = draw_log(&d, 50, 1000);
        p->sync_max_usec = draw_log(&d, p->sync_min_usec, sync_top);
}

void draft_group(PlanDraft *d)
{
        draw_nodes(d);
        draw_receivers(d);
        draw_times(d);
        draw_limits(d);
        draw_speeds(d);
}
