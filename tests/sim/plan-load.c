/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The load: messages, one by one and in bulk, and what callers do with them later. */

#include <stdlib.h>

#include "model/policy.h"
#include "sim/plan-draft.h"

#define SIZE_MIN 8u /* room for the number of the message */

/* What the seed says of all messages together. */
typedef struct Manner {
        unsigned feature[_FEATURE_MAX]; /* percent */
        unsigned modes[_SELECTOR_MODE_MAX];
        unsigned favourite; /* percent of the messages to one receiver that go to the first */
        unsigned n_keys;
        unsigned size_max, large_max;
        uint64_t work_min, work_max;
        bool near_faults;
} Manner;

static void draw_features(const PlanDraft *draft, Manner *m)
{
        for (Feature i = 0; i < _FEATURE_MAX; i++) {
                Draw d = draw_begin(draft->plan->seed, "feature", i);
                const unsigned most = profile_feature(draft->profile, i);
                const bool off = draw_chance(&d, 45) && !draft->profile->bare;

                m->feature[i] = off || most == 0 ? 0 : (unsigned) draw_between(&d, 1, most);
                if (draft->profile->bare)
                        m->feature[i] = most;
        }
        for (SelectorMode i = 0; i < _SELECTOR_MODE_MAX; i++) {
                Draw d = draw_begin(draft->plan->seed, "mode", i);
                const bool off = draw_chance(&d, 40);

                m->modes[i] = off ? 0 : profile_mode_weight(draft->profile, i);
        }
}

static void draw_manner(const PlanDraft *draft, Manner *m)
{
        const Plan *p = draft->plan;
        Draw d = draw_begin(p->seed, "manner", 0);
        static const unsigned sizes[] = {16, 64, 1000, 5000};
        const bool cut = p->net_piece_max > 0 && p->net_piece_max < 64;
        const unsigned work = (unsigned) draw_below(&d, 3),
                       size = (unsigned) draw_below(&d, ELEMENTSOF(sizes));

        draw_features(draft, m);
        m->favourite = (unsigned) draw_below(&d, 100);
        m->n_keys = (unsigned) draw_log(&d, 1, draft->profile->fast ? 64 : 12);
        m->size_max = draft->profile->fast ? 200 : cut ? 64 : sizes[size];
        m->large_max = cut ? 2000 : 200000;
        m->work_min = 100;
        m->work_max = draft->profile->fast || work == 0 ? 10 * USEC_PER_MSEC
                      : work == 1                       ? 300 * USEC_PER_MSEC
                                                        : p->handler_timeout_usec / 2;
        m->near_faults = draft->n_focus > 0 && draw_chance(&d, 75);
}

static unsigned draw_group(const Plan *p, Draw *d)
{
        const unsigned group = (unsigned) draw_below(d, 4);

        for (unsigned i = 0; i < p->n_receivers; i++)
                if (p->group_of_receiver[i] == group)
                        return group;
        return 0;
}

static unsigned group_size(const Plan *p, unsigned group)
{
        unsigned n = 0;

        for (unsigned i = 0; i < p->n_receivers; i++)
                n += group == 0 || p->group_of_receiver[i] == group;
        return n;
}

static void draw_target(const Plan *p, Draw *d, const Manner *m, PlannedMessage *g)
{
        const bool favourite = draw_chance(d, m->favourite);
        const size_t mode = draw_weighted(d, m->modes, _SELECTOR_MODE_MAX);

        g->mode = mode == _SELECTOR_MODE_MAX ? SELECTOR_ANY : (SelectorMode) mode;
        g->receiver = (unsigned) draw_below(d, p->n_receivers);
        if (favourite)
                g->receiver = 0;
        g->group = draw_group(p, d);
        g->quorum = (unsigned) draw_between(d, 1, group_size(p, g->group));
        g->key = (unsigned) draw_below(d, m->n_keys);
        g->keys = 1;
}

static bool draw_feature(Draw *d, const Manner *m, Feature feature)
{
        return draw_chance(d, m->feature[feature]);
}

static void draw_handling(const Plan *p, Draw *d, const Manner *m, PlannedMessage *g)
{
        const uint64_t longest = p->handler_timeout_usec + p->handler_timeout_usec / 4;
        const unsigned poison = (unsigned) draw_log(d, 1, 4), failures = (unsigned) draw_log(d, 1, 6);

        g->work_usec = draw_log(d, m->work_min, m->work_max);
        if (draw_feature(d, m, FEATURE_LONG))
                g->work_usec = draw_between(d, longest / 4, longest);
        g->poison = draw_feature(d, m, FEATURE_POISON) ? poison : 0;
        g->failures = draw_feature(d, m, FEATURE_FAILURES) ? failures : 0;
}

static void draw_policy(const Plan *p, Draw *d, const Manner *m, PlannedMessage *g)
{
        const unsigned attempts = (unsigned) draw_log(d, 1, 8);
        const uint64_t delay = draw_log(d, USEC_PER_MSEC, 30 * USEC_PER_SEC);
        const uint64_t deadline = draw_log(d, 10 * USEC_PER_MSEC, 120 * USEC_PER_SEC);
        const unsigned priority = (unsigned) draw_below(d, PRIORITY_MAX + 1);

        g->priority = draw_feature(d, m, FEATURE_PRIORITY) ? priority : PRIORITY_DEFAULT;
        g->max_attempts = draw_feature(d, m, FEATURE_ATTEMPTS) ? attempts : 0;
        g->delay_usec = draw_feature(d, m, FEATURE_DELAY) ? delay : 0;
        g->deadline_usec = draw_feature(d, m, FEATURE_DEADLINE) ? deadline : 0;
        g->idempotency = draw_feature(d, m, FEATURE_IDEMPOTENCY) ? 1000 + g->number : 0;
        g->leaves = draw_feature(d, m, FEATURE_LEAVES);
        g->follow = draw_feature(d, m, FEATURE_FOLLOW) && g->mode == SELECTOR_ALL;
        g->transient = draw_feature(d, m, FEATURE_TRANSIENT) && !selector_mode_is_fanout(g->mode);
        if (g->transient)
                g->idempotency = 0, g->delay_usec = 0, g->deadline_usec = 0;
        /* It is killed by its time limit each time, so it would never end. */
        if (g->work_usec >= p->handler_timeout_usec && g->max_attempts == 0)
                g->max_attempts = attempts;
}

static unsigned draw_size(Draw *d, const Manner *m)
{
        const unsigned large = (unsigned) draw_log(d, 1000, m->large_max);
        const unsigned usual = (unsigned) draw_between(d, SIZE_MIN, m->size_max);

        return draw_feature(d, m, FEATURE_LARGE) ? large : usual;
}

static void draw_message(const PlanDraft *draft, const Manner *m, unsigned number, PlannedMessage *g)
{
        Draw d = draw_begin(draft->plan->seed, "message", number);

        g->number = number;
        draw_target(draft->plan, &d, m, g);
        draw_handling(draft->plan, &d, m, g);
        draw_policy(draft->plan, &d, m, g);
        g->size = draw_size(&d, m);
}

/* Much of the load comes shortly before or after faults, or right after other load. */
static uint64_t draw_time(const PlanDraft *draft, Draw *d, const Manner *m, uint64_t last)
{
        const uint64_t distance = draw_log(d, 1, 2 * USEC_PER_SEC);
        const bool before = draw_chance(d, 70);
        uint64_t focus;

        switch (draw_below(d, 8)) {
        case 0:
                return last;
        case 1:
                return last + distance / 16;
        case 2 ... 5:
                if (!m->near_faults)
                        break;
                focus = draft->focus[draw_below(d, draft->n_focus)];
                return before ? focus - MIN(focus, distance) : focus + distance;
        default:
                break;
        }
        return draw_below(d, draft->length_usec);
}

static int compare_times(const void *a, const void *b)
{
        const uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

        return x < y ? -1 : x > y;
}

/* Cancels it, or hands it over again, some time later. */
static void follow_up(PlanDraft *draft, const Manner *m, unsigned client, uint64_t at,
                const PlannedMessage *g, unsigned *next_number)
{
        Draw d = draw_begin(draft->plan->seed, "later", g->number);
        const uint64_t later = at + draw_log(&d, 1, 20 * USEC_PER_SEC);
        const uint64_t again = at + draw_log(&d, 1, 20 * USEC_PER_SEC);
        Step *s;

        if (draw_feature(&d, m, FEATURE_CANCEL)) {
                s = draft_add(draft, STEP_CANCEL, later);
                s->a = client;
                s->b = g->number;
        }
        if (g->idempotency > 0 && draw_feature(&d, m, FEATURE_REPEAT)) {
                s = draft_add(draft, STEP_SEND, again);
                s->a = client;
                s->message = *g;
                s->message.number = (*next_number)++;
        }
}

static unsigned bulk_size(const PlanDraft *draft, Draw *d, unsigned left)
{
        const unsigned most = MIN(left, draft->profile->fast ? 600u : 60u);

        return (unsigned) draw_log(d, MIN(most, draft->profile->fast ? 150u : 1u), most);
}

/* Returns the number of messages. */
static unsigned add_load(PlanDraft *draft, const Manner *m, unsigned step, unsigned number, unsigned left,
                uint64_t at, unsigned *next_number)
{
        Draw d = draw_begin(draft->plan->seed, "load", step);
        const unsigned client = (unsigned) draw_below(&d, draft->plan->n_clients);
        const unsigned n = bulk_size(draft, &d, left), n_keys = (unsigned) draw_log(&d, 1, m->n_keys);
        const bool bulk = draw_chance(&d, m->feature[FEATURE_BULK]) && n > 1;
        Step *s = draft_add(draft, bulk ? STEP_BULK : STEP_SEND, at);
        PlannedMessage g = {};

        draw_message(draft, m, number, &g);
        if (bulk) {
                s->b = n;
                g.keys = n_keys;
                g.poison = 0;
                g.size = MIN(g.size, (4u << 20) / n);
        }
        s->a = client;
        s->message = g;
        if (!bulk)
                follow_up(draft, m, client, at, &g, next_number);
        return bulk ? n : 1;
}

/* The number of steps is not known before they are drawn, so that of times is the number of messages. */
static unsigned add_messages(PlanDraft *draft, const Manner *m, unsigned n)
{
        Draw d = draw_begin(draft->plan->seed, "sending", 0);
        uint64_t *times = calloc(n, sizeof *times), last = 0;
        unsigned number = 0, next_number = n, n_times = MIN(n, 1 + n / 4);

        assert(times);
        if (m->feature[FEATURE_BULK] < 40)
                n_times = n;
        for (unsigned i = 0; i < n_times; i++)
                last = times[i] = draw_time(draft, &d, m, last);
        qsort(times, n_times, sizeof *times, compare_times);
        for (unsigned i = 0; number < n; i++) {
                const uint64_t at = times[(uint64_t) number * n_times / n];

                number += add_load(draft, m, i, number, n - number, at, &next_number);
        }
        free(times);
        return next_number;
}

static void add_care(PlanDraft *draft, const Manner *m, Feature feature, StepKind kind, unsigned n)
{
        Draw d = draw_begin(draft->plan->seed, "care", kind);

        for (unsigned i = 0; i < n; i++) {
                const uint64_t at = draw_below(&d, 2 * draft->length_usec);
                const unsigned client = (unsigned) draw_below(&d, draft->plan->n_clients);
                const unsigned count = (unsigned) draw_log(&d, 1, 50);

                if (draw_feature(&d, m, feature)) {
                        Step *s = draft_add(draft, kind, at);

                        s->a = client;
                        s->b = count;
                }
        }
}

void draft_load(PlanDraft *draft)
{
        const Range r = draft->profile->messages;
        Draw d = draw_begin(draft->plan->seed, "messages", 0);
        const unsigned n = (unsigned) draw_log(&d, r.min, r.max);
        Manner m = {};

        draw_manner(draft, &m);
        draft->plan->n_messages = add_messages(draft, &m, n);
        add_care(draft, &m, FEATURE_REVIVE, STEP_REVIVE, MIN(n, 40u));
        add_care(draft, &m, FEATURE_PURGE, STEP_PURGE, MIN(n, 40u));
        add_care(draft, &m, FEATURE_INSIST, STEP_INSIST, 4);
}
