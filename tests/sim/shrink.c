/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/shrink.h"

#include <stdlib.h>
#include <string.h>

typedef struct Shrink {
        Recipe *best;
        const ShrinkMethod *method;
        unsigned n_trials;
        uint64_t at; /* when the best one breaks */
} Shrink;

static bool is_over(const Shrink *s)
{
        return s->method->is_over && s->method->is_over(s->method->userdata);
}

static bool breaks(Shrink *s, const Recipe *r, uint64_t *ret_at)
{
        Plan *p = recipe_plan(r);
        const ShrinkTrial t = s->method->run(r, p, s->method->userdata);

        s->n_trials++;
        if (t.breaks && s->method->progress)
                s->method->progress(p, s->n_trials, s->method->userdata);
        (void) plan_free(p);
        *ret_at = t.at;
        return t.breaks;
}

/* Takes the candidate (and owns it) as the best one if it breaks. */
static bool try_it(Shrink *s, Recipe *candidate)
{
        const unsigned n = s->method->n_draws ?: 3;
        const uint64_t first = candidate->draws ?: candidate->seed;
        uint64_t at = 0;

        for (unsigned i = 0; i < n && !is_over(s); i++) {
                candidate->draws = first + i;
                if (candidate->draws == 0 || !breaks(s, candidate, &at))
                        continue;
                recipe_clear(s->best);
                *s->best = *candidate;
                s->at = at;
                return true;
        }
        recipe_clear(candidate);
        return false;
}

/* The indexes of the steps that are left. */
static unsigned *list_steps(const Shrink *s, size_t *ret_n)
{
        Plan *p = recipe_plan(s->best);
        unsigned *list = calloc(MAX(p->n_steps, 1u), sizeof *list);

        assert(list);
        for (size_t i = 0; i < p->n_steps; i++)
                list[i] = p->steps[i].index;
        *ret_n = p->n_steps;
        (void) plan_free(p);
        return list;
}

static bool try_without(Shrink *s, const unsigned *list, size_t from, size_t to)
{
        Recipe c = recipe_copy(s->best);

        for (size_t i = from; i < to; i++)
                recipe_set(&c, list[i], STEP_LEFT_OUT);
        return try_it(s, &c);
}

/* What began after the failure cannot have caused it. */
static void cut_end(Shrink *s)
{
        Plan *p = recipe_plan(s->best);
        Recipe c = recipe_copy(s->best);
        size_t n = 0;

        for (size_t i = 0; i < p->n_steps; i++)
                if (p->steps[i].at > s->at) {
                        recipe_set(&c, p->steps[i].index, STEP_LEFT_OUT);
                        n++;
                }
        (void) plan_free(p);
        if (n > 0)
                (void) try_it(s, &c);
        else
                recipe_clear(&c);
}

/* All steps of one kind. Cheap, and removes much. */
static void cut_kinds(Shrink *s)
{
        for (StepKind kind = 0; kind < _STEP_KIND_MAX && !is_over(s); kind++) {
                Plan *p = recipe_plan(s->best);
                Recipe c = recipe_copy(s->best);
                size_t n = 0;

                for (size_t i = 0; i < p->n_steps; i++)
                        if (p->steps[i].kind == kind) {
                                recipe_set(&c, p->steps[i].index, STEP_LEFT_OUT);
                                n++;
                        }
                (void) plan_free(p);
                if (n > 0)
                        (void) try_it(s, &c);
                else
                        recipe_clear(&c);
        }
}

/* Leaves out `size` steps at a time. Returns whether any could be. */
static bool cut_chunks(Shrink *s, size_t size)
{
        bool any = false;
        size_t n, at = 0;
        unsigned *list = list_steps(s, &n);

        /* From the end: later steps matter less. */
        while (at < n && !is_over(s)) {
                const size_t to = n - at, from = to - MIN(to, size);

                if (try_without(s, list, from, to)) {
                        any = true;
                        free(list);
                        list = list_steps(s, &n);
                        at = MIN(at, n);
                } else
                        at += to - from;
        }
        free(list);
        return any;
}

static bool cut_steps(Shrink *s)
{
        bool any = false;
        size_t n, size;

        free(list_steps(s, &n));
        for (size = MAX(n / 2, 1u); size > 0 && !is_over(s); size /= 2)
                any = cut_chunks(s, size) || any;
        /* Steps that had to stay while others were there. */
        while (!is_over(s) && cut_chunks(s, 1))
                any = true;
        return any;
}

/* The number of these nodes in the plan, and the place of their limit. */
static bool cut_nodes(Shrink *s, size_t offset, unsigned n)
{
        for (unsigned fewer = 1; fewer < n && !is_over(s); fewer++) {
                Recipe c = recipe_copy(s->best);

                memcpy((char *) &c.limits + offset, &fewer, sizeof fewer);
                if (try_it(s, &c))
                        return true;
        }
        return false;
}

static bool cut_all_nodes(Shrink *s)
{
        Plan *p = recipe_plan(s->best);
        const unsigned n_machines = p->n_machines, n_clients = p->n_clients, n_receivers = p->n_receivers;
        bool any;

        (void) plan_free(p);
        any = cut_nodes(s, offsetof(PlanLimits, machines), n_machines);
        any = cut_nodes(s, offsetof(PlanLimits, receivers), n_receivers) || any;
        return cut_nodes(s, offsetof(PlanLimits, clients), n_clients) || any;
}

static bool can_halve(const Step *s)
{
        const PlannedMessage *g = &s->message;

        return (s->kind == STEP_BULK && s->b > 1) || s->usec > 0 || g->size > 8 || g->work_usec > 100 ||
               g->delay_usec > 0 || g->poison > 1 || g->failures > 1;
}

static bool has_amounts(const Recipe *r, unsigned index)
{
        Plan *p = recipe_plan(r);
        bool yes = false;

        for (size_t i = 0; i < p->n_steps; i++)
                yes = yes || (p->steps[i].index == index && can_halve(p->steps + i));
        (void) plan_free(p);
        return yes;
}

/* Halves the numbers of one step as often as it can. */
static void halve_step(Shrink *s, unsigned index)
{
        unsigned by = 16;

        while (by > 0 && has_amounts(s->best, index) && !is_over(s)) {
                Recipe c = recipe_copy(s->best);
                const unsigned now = recipe_get(&c, index);

                recipe_set(&c, index, MIN(now + by, HALVINGS_MAX));
                if (!try_it(s, &c) || now + by >= HALVINGS_MAX)
                        by /= 2;
        }
}

static void halve_steps(Shrink *s)
{
        size_t n;
        unsigned *list = list_steps(s, &n);

        for (size_t i = 0; i < n; i++)
                halve_step(s, list[i]);
        free(list);
}

unsigned shrink(Recipe *r, const ShrinkMethod *method)
{
        Shrink s = {.best = r, .method = method};
        size_t n;

        if (!breaks(&s, r, &s.at))
                return 0;
        cut_end(&s);
        cut_kinds(&s);
        do
                (void) cut_steps(&s);
        while (cut_all_nodes(&s) && !is_over(&s));
        free(list_steps(&s, &n));
        if (n <= 60)
                halve_steps(&s);
        (void) cut_steps(&s);
        return s.n_trials;
}
