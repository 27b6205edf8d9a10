/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Faults come in clusters: several within a short time, most of them at the same process or machine, because
 * a fault during the recovery from another one is what code forgets. */

#include "sim/plan-draft.h"

typedef enum Target {
        NOBODY,
        DAEMON,    /* `a`: a process */
        HTTP_USER, /* `a`: a client or a receiver */
        CLIENT,    /* `a` */
        RECEIVER,  /* `a` */
        DISCOVERY, /* `a` */
        PEERS,     /* `a` and `b`: a client and a receiver, in any order */
        MACHINE,   /* `a` */
        TWO,       /* `a` and `b`: different machines */
        ANY_TWO,   /* `a` and `b`: machines */
} Target;

typedef struct FaultKind {
        Target target;
        uint64_t usec_min, usec_max; /* 0, 0: it has no duration */
        unsigned none;               /* percent: the duration is 0 */
        unsigned b_min, b_max;       /* 0, 0: it has no number */
} FaultKind;

#define PAUSE                .usec_min = USEC_PER_MSEC, .usec_max = 60 * USEC_PER_SEC, .none = 25
#define SPAN(min_ms, max_ms) .usec_min = (min_ms) *USEC_PER_MSEC, .usec_max = (max_ms) *USEC_PER_MSEC

static const FaultKind fault_kinds[_STEP_KIND_MAX] = {
                [STEP_KILL] = {DAEMON, PAUSE},
                [STEP_KILL_AT] = {DAEMON, PAUSE, .b_min = 1, .b_max = 3000},
                [STEP_KILL_AT_SYNC] = {DAEMON, PAUSE, .b_min = 1, .b_max = 100},
                [STEP_TERMINATE] = {DAEMON, PAUSE},
                [STEP_POWER_OFF] = {MACHINE, PAUSE},
                [STEP_FREEZE] = {DAEMON, SPAN(10, 60000)},
                [STEP_POWER_AT_SYNC] = {DAEMON, PAUSE, .b_min = 1, .b_max = 100},
                [STEP_SUSPEND] = {MACHINE, SPAN(100, 300000)},
                [STEP_RELOAD] = {DAEMON, .b_min = 1, .b_max = 1u << 30},
                [STEP_DRAIN] = {RECEIVER, SPAN(10, 30000)},
                [STEP_PARTITION] = {TWO, SPAN(10, 90000)},
                [STEP_SLOW_LINK] = {ANY_TWO, SPAN(100, 60000)},
                [STEP_RESET] = {PEERS},
                [STEP_BLACKHOLE] = {PEERS},
                [STEP_STALL] = {PEERS, SPAN(10, 10000)},
                [STEP_ORPHAN] = {CLIENT, SPAN(100, 10000), .b_min = 10, .b_max = 1000},
                [STEP_LOSE_ANSWERS] = {HTTP_USER, .b_min = 1, .b_max = 10},
                [STEP_CLOCK] = {MACHINE, SPAN(1, 3600000)},
                [STEP_DISK_FULL] = {MACHINE, SPAN(100, 60000)},
                [STEP_DISK_SLOW] = {MACHINE, SPAN(100, 60000)},
                [STEP_DISK_HANG] = {MACHINE, SPAN(10, 60000)},
                [STEP_DISK_ERROR] = {MACHINE, SPAN(1, 20000), .none = 60, .b_min = 1, .b_max = 1000},
                [STEP_FLIP] = {DAEMON, PAUSE},
                [STEP_RESTORE] = {DAEMON, PAUSE},
                [STEP_CLONE] = {HTTP_USER, SPAN(1000, 60000)},
                [STEP_SYNC_ERROR] = {DAEMON, PAUSE, .b_min = 1, .b_max = 50},
                [STEP_MEMORY] = {DAEMON, SPAN(10, 30000), .b_min = 3, .b_max = 3000},
                [STEP_FORGET] = {DISCOVERY, PAUSE},
                [STEP_REPLACE] = {RECEIVER, PAUSE},
                [STEP_HANDLERS] = {RECEIVER, SPAN(100, 30000)},
};

typedef struct Weather {
        unsigned weights[_STEP_KIND_MAX], moods[_HANDLER_MOOD_MAX];
        uint64_t usec_cap;      /* of durations and pauses */
        unsigned concentration; /* percent of the faults of a cluster that hit its focus */
        uint64_t gap_max;       /* between two faults of a cluster */
} Weather;

/* Each seed leaves out some kinds, and prefers others. */
static void draw_weather(PlanDraft *draft, Weather *w)
{
        const Profile *f = draft->profile;

        for (size_t i = 0; i < _STEP_KIND_MAX; i++) {
                Draw d = draw_begin(draft->plan->seed, step_kind_to_string((StepKind) i), 0);
                const bool off = draw_chance(&d, 40);
                const unsigned factor = (unsigned) draw_log(&d, 1, 16);

                w->weights[i] = off ? 0 : f->fault[i] * factor;
                if (draft->plan->n_machines < 2 && fault_kinds[i].target == TWO)
                        w->weights[i] = 0;
        }
        for (HandlerMood i = 0; i < _HANDLER_MOOD_MAX; i++) {
                Draw d = draw_begin(draft->plan->seed, "mood", i);
                const bool off = draw_chance(&d, 40);

                w->moods[i] = off ? 0 : profile_mood_weight(f, i);
        }

        Draw d = draw_begin(draft->plan->seed, "weather", 0);
        w->usec_cap = draw_chance(&d, 15) ? USEC_INFINITY
                                          : draw_log(&d, 50 * USEC_PER_MSEC, draft->length_usec);
        w->concentration = (unsigned) draw_between(&d, 20, 100);
        w->gap_max = draw_log(&d, 10 * USEC_PER_MSEC, 5 * USEC_PER_SEC);
}

static unsigned any_client(const PlanDraft *draft, Draw *d)
{
        return draft_client((unsigned) draw_below(d, draft->plan->n_clients));
}

static unsigned any_receiver(const PlanDraft *draft, Draw *d)
{
        return draft_receiver((unsigned) draw_below(d, draft->plan->n_receivers));
}

static unsigned any_user(const PlanDraft *draft, Draw *d)
{
        return draw_chance(d, 45) ? any_client(draft, d) : any_receiver(draft, d);
}

static unsigned any_machine(const PlanDraft *draft, Draw *d)
{
        return (unsigned) draw_below(d, draft->plan->n_machines);
}

static bool is_receiver(unsigned process)
{
        return process > CLIENTS_MAX;
}

static unsigned machine_of(const Plan *p, unsigned process)
{
        return process == 0           ? p->machine_of_discovery
               : is_receiver(process) ? p->machine_of_receiver[process - 1 - CLIENTS_MAX]
                                      : p->machine_of_client[process - 1];
}

static void aim_at_peers(const PlanDraft *draft, Draw *d, unsigned focus, Step *s)
{
        unsigned client = any_client(draft, d), receiver = any_receiver(draft, d);

        if (focus > 0 && is_receiver(focus))
                receiver = focus;
        else if (focus > 0)
                client = focus;
        s->a = client;
        s->b = receiver;
        if (draw_chance(d, 60)) {
                s->a = receiver;
                s->b = client;
        }
}

static void aim_at_machines(const PlanDraft *draft, Draw *d, unsigned focus, bool different, Step *s)
{
        const unsigned n = draft->plan->n_machines, here = machine_of(draft->plan, focus);
        const unsigned other = different ? (unsigned) ((here + 1 + draw_below(d, n - 1)) % n)
                                         : any_machine(draft, d);
        const bool there = draw_chance(d, 50);

        s->a = there ? here : other;
        s->b = there ? other : here;
}

/* `focus` is a process. */
static void aim(const PlanDraft *draft, Draw *d, unsigned focus, Step *s)
{
        switch (fault_kinds[s->kind].target) {
        case NOBODY:
        case DISCOVERY:
                s->a = 0;
                break;
        case DAEMON:
                s->a = focus;
                break;
        case HTTP_USER:
                s->a = focus > 0 ? focus : any_user(draft, d);
                break;
        case CLIENT:
                s->a = focus > 0 && !is_receiver(focus) ? focus : any_client(draft, d);
                break;
        case RECEIVER:
                s->a = is_receiver(focus) ? focus : any_receiver(draft, d);
                break;
        case PEERS:
                aim_at_peers(draft, d, focus, s);
                break;
        case MACHINE:
                s->a = machine_of(draft->plan, focus);
                break;
        case TWO:
        case ANY_TWO:
                aim_at_machines(draft, d, focus, fault_kinds[s->kind].target == TWO, s);
                break;
        }
}

static void draw_amount(PlanDraft *draft, Draw *d, const Weather *w, Step *s)
{
        const FaultKind *f = fault_kinds + s->kind;

        if (f->usec_max > 0 && !draw_chance(d, f->none)) {
                const uint64_t min = f->usec_min;

                s->usec = draw_log(d, min, MAX(min, MIN(f->usec_max, w->usec_cap)));
        }
        if (f->b_max > 0)
                s->b = (unsigned) draw_log(d, f->b_min, f->b_max);
        if (s->kind == STEP_CLOCK)
                s->b = (unsigned) draw_below(d, 2);
        if (s->kind == STEP_HANDLERS) {
                s->b = (unsigned) draw_weighted(d, w->moods, _HANDLER_MOOD_MAX);
                if (s->b == _HANDLER_MOOD_MAX)
                        s->b = MOOD_FAIL;
        }
}

/* Returns the end of the fault. */
static uint64_t add_fault(
                PlanDraft *draft, Draw *d, const Weather *w, StepKind kind, unsigned focus, uint64_t at)
{
        Step *s = draft_add(draft, kind, at);
        uint64_t end;

        aim(draft, d, focus, s);
        draw_amount(draft, d, w, s);
        end = at + s->usec;
        if (kind == STEP_PARTITION && draw_chance(d, 50)) {
                const Step there = *s;
                Step *back = draft_add(draft, kind, at);

                back->a = there.b;
                back->b = there.a;
                back->usec = there.usec;
        }
        return end;
}

static unsigned any_focus(const PlanDraft *draft, Draw *d)
{
        return draw_chance(d, 12) ? 0 : any_user(draft, d);
}

/* The next fault comes at once, soon, when the last one ends, or shortly after that. */
static uint64_t next_time(Draw *d, const Weather *w, uint64_t at, uint64_t end)
{
        const uint64_t gap = draw_log(d, 1, w->gap_max);

        switch (draw_below(d, 5)) {
        case 0:
                return at;
        case 1:
                return end;
        case 2:
                return end + gap;
        default:
                return at + gap;
        }
}

/* Every process ends within a moment: the whole group starts again. */
static unsigned add_storm(PlanDraft *draft, Draw *d, const Weather *w, StepKind kind, uint64_t at)
{
        const Plan *p = draft->plan;
        unsigned n = 0;

        for (unsigned i = 0; i < 1 + CLIENTS_MAX + RECEIVERS_MAX; i++) {
                const uint64_t gap = draw_log(d, 1, w->gap_max);

                if (i == 0 || (is_receiver(i) ? i - 1 - CLIENTS_MAX < p->n_receivers
                                              : i - 1 < p->n_clients)) {
                        (void) add_fault(draft, d, w, kind, i, at + gap);
                        n++;
                }
        }
        return n;
}

/* Returns the number of faults. */
static unsigned add_cluster(PlanDraft *draft, const Weather *w, unsigned number, unsigned n_max)
{
        Draw d = draw_begin(draft->plan->seed, "cluster", number);
        uint64_t at = draw_below(&d, draft->length_usec), end;
        const unsigned focus = any_focus(draft, &d), n = (unsigned) draw_log(&d, 1, MIN(n_max, 12u));

        if (draft->n_focus < FOCUS_MAX)
                draft->focus[draft->n_focus++] = at;
        for (unsigned i = 0; i < n; i++) {
                const bool here = draw_chance(&d, w->concentration);
                const unsigned elsewhere = any_focus(draft, &d);
                const size_t kind = draw_weighted(&d, w->weights, _STEP_KIND_MAX);
                const bool all = draw_chance(&d, 3);

                if (kind == _STEP_KIND_MAX)
                        return n_max;
                if (all && kind >= STEP_KILL && kind <= STEP_TERMINATE)
                        return n + add_storm(draft, &d, w, (StepKind) kind, at);
                end = add_fault(draft, &d, w, (StepKind) kind, here ? focus : elsewhere, at);
                at = next_time(&d, w, at, end);
                if (at > draft->length_usec * 2)
                        at = draw_below(&d, draft->length_usec);
        }
        return n;
}

void draft_faults(PlanDraft *draft)
{
        Weather w = {};
        Draw d = draw_begin(draft->plan->seed, "faults", 0);
        const Range r = draft->profile->faults;
        const unsigned n = (unsigned) draw_between(&d, r.min, r.max);

        draw_weather(draft, &w);
        for (unsigned made = 0, number = 0; made < n; number++)
                made += add_cluster(draft, &w, number, n - made);
}
