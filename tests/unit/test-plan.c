/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Plans of the simulator: what a seed decides, and how a failing plan is made small. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/time-util.h"
#include "sim/plan-draw.h"
#include "sim/plan-profile.h"
#include "sim/plan-text.h"
#include "sim/shrink.h"

#define N_SEEDS 300u

static void assert_same_steps(const Plan *p, const Plan *q)
{
        assert_int_equal(p->n_steps, q->n_steps);
        for (size_t i = 0; i < p->n_steps; i++) {
                char a[600], b[600];

                step_describe(p, p->steps + i, a, sizeof a);
                step_describe(q, q->steps + i, b, sizeof b);
                assert_string_equal(a, b);
                assert_int_equal(p->steps[i].index, q->steps[i].index);
        }
}

static void test_draws(void **state)
{
        Draw d = draw_begin(1, "topic", 0);
        const unsigned weights[] = {0, 3, 0, 1};
        unsigned seen[4] = {};

        for (unsigned i = 0; i < 10000; i++) {
                const uint64_t n = draw_between(&d, 3, 5), l = draw_log(&d, 3, 1000);

                assert_true(n >= 3 && n <= 5);
                assert_true(l >= 3 && l <= 1000);
                seen[draw_weighted(&d, weights, 4)]++;
        }
        assert_int_equal(seen[0] + seen[2], 0);
        assert_in_range(seen[3], 2000, 3000);
        assert_int_equal(draw_weighted(&d, weights, 1), 1);
        assert_int_equal(draw_log(&d, 7, 7), 7);

        Draw other = draw_begin(1, "other", 0), number = draw_begin(1, "topic", 1);
        d = draw_begin(1, "topic", 0);
        const uint64_t x = draw_u64(&d), y = draw_u64(&other), z = draw_u64(&number);
        assert_true(x != y && x != z && y != z);
}

/* Seeds in the list of regressions must keep their meaning. */
static void test_draws_stay(void **state)
{
        Draw d = draw_begin(42, "topic", 7);

        assert_true(draw_u64(&d) == UINT64_C(0x9d0dbe52ac87b5fb));
}

static void check_step(const Plan *p, const Step *s)
{
        const unsigned n = plan_n_processes(p);
        char text[600];

        step_describe(p, s, text, sizeof text);
        assert_non_null(strstr(text, " s: "));
        assert_true(s->at + s->usec <= p->faults_end_usec || s->kind == STEP_CLOCK);
        switch (s->kind) {
        case STEP_SEND ... STEP_INSIST:
                assert_true(s->a < p->n_clients);
                if (s->kind == STEP_SEND || s->kind == STEP_BULK) {
                        const PlannedMessage *g = &s->message;

                        assert_true(g->number + (s->kind == STEP_BULK ? s->b : 1) <= p->n_messages);
                        assert_true(g->receiver < p->n_receivers && g->keys >= 1 && g->size >= 8);
                        assert_true(g->quorum >= 1 && g->quorum <= p->n_receivers);
                        assert_false(g->transient && (g->idempotency || g->delay_usec || g->deadline_usec));
                }
                break;
        case STEP_PARTITION:
                assert_true(s->a != s->b);
                /* fall through */
        case STEP_SLOW_LINK:
                assert_true(s->a < p->n_machines && s->b < p->n_machines);
                break;
        case STEP_POWER_OFF:
        case STEP_SUSPEND:
        case STEP_CLOCK ... STEP_DISK_ERROR:
                assert_true(s->a < p->n_machines);
                break;
        case STEP_RESET:
        case STEP_BLACKHOLE:
        case STEP_STALL:
                assert_true(s->a > 0 && s->a < n && s->b > 0 && s->b < n);
                assert_true((s->a > p->n_clients) != (s->b > p->n_clients));
                break;
        case STEP_DRAIN:
        case STEP_REPLACE:
        case STEP_HANDLERS:
                assert_true(s->a > p->n_clients && s->a < n);
                break;
        default:
                assert_true(s->a < n);
        }
}

static void check_plan(const Plan *p)
{
        unsigned last_index = 0;
        uint64_t last = 0;

        assert_true(p->n_clients >= 1 && p->n_clients <= CLIENTS_MAX);
        assert_true(p->n_receivers >= 1 && p->n_receivers <= RECEIVERS_MAX);
        assert_true(p->n_machines >= 1 && p->n_machines <= MACHINES_MAX);
        assert_true(p->machine_of_discovery < p->n_machines);
        for (size_t i = 0; i < p->n_steps; i++) {
                assert_true(p->steps[i].at >= last && p->steps[i].index > last_index);
                last = p->steps[i].at;
                last_index = p->steps[i].index;
                check_step(p, p->steps + i);
        }
}

static void test_same_seed_same_plan(void **state)
{
        for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
                Plan *p = plan_new(seed, NULL, NULL), *q = plan_new(seed, NULL, NULL);

                assert_string_equal(p->profile, q->profile);
                assert_same_steps(p, q);
                assert_int_equal(p->faults_end_usec, q->faults_end_usec);
                (void) plan_free(p);
                (void) plan_free(q);
        }
}

static void test_every_profile(void **state)
{
        const char *const *names = plan_profiles();

        assert_null(plan_new(1, "nonsense", NULL));
        for (size_t i = 0; names[i]; i++)
                for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
                        Plan *p = plan_new(seed, names[i], NULL);

                        check_plan(p);
                        assert_string_equal(p->profile, names[i]);
                        (void) plan_free(p);
                }
}

/* Every kind of step and every mood appears, and the seeds choose every profile. */
static void test_all_kinds_appear(void **state)
{
        unsigned steps[_STEP_KIND_MAX] = {}, moods[_HANDLER_MOOD_MAX] = {};

        for (uint64_t seed = 0; seed < 3000; seed++) {
                Plan *p = plan_new(seed, NULL, NULL);

                for (size_t i = 0; i < p->n_steps; i++) {
                        steps[p->steps[i].kind]++;
                        if (p->steps[i].kind == STEP_HANDLERS)
                                moods[p->steps[i].b]++;
                }
                (void) plan_free(p);
        }
        for (StepKind i = 0; i < _STEP_KIND_MAX; i++)
                if (steps[i] < 20)
                        fail_msg("only %u steps %s", steps[i], step_kind_to_string(i));
        for (HandlerMood i = MOOD_NORMAL + 1; i < _HANDLER_MOOD_MAX; i++)
                assert_true(moods[i] > 10);
        for (const Profile *f = profiles_table; f->name; f++) {
                bool seen = f->weight == 0;

                for (uint64_t seed = 0; seed < 1000 && !seen; seed++)
                        seen = profile_draw(seed) == f;
                if (!seen)
                        fail_msg("no seed chooses %s", f->name);
        }
}

static void test_limits(void **state)
{
        const PlanLimits limits = {.clients = 1, .receivers = 2, .machines = 2, .messages = 5, .faults = 3};

        for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
                Plan *p = plan_new(seed, "usual", &limits), *whole = plan_new(seed, "usual", NULL);
                unsigned n_faults = 0;

                check_plan(p);
                assert_int_equal(p->n_clients, 1);
                assert_true(p->n_receivers <= 2 && p->n_machines <= 2 && p->n_messages <= 5);
                for (size_t i = 0; i < p->n_steps; i++) {
                        const Step *s = p->steps + i, *same = whole->steps + s->index - 1;

                        n_faults += s->kind >= STEP_KILL;
                        assert_int_equal(s->kind, same->kind);
                        assert_int_equal(s->at, same->at);
                        assert_int_equal(s->usec, same->usec);
                }
                assert_true(n_faults <= 3);
                (void) plan_free(p);
                (void) plan_free(whole);
        }
}

static char *format(const Recipe *r)
{
        char *text = NULL;
        size_t size;
        FILE *to = open_memstream(&text, &size);

        assert_non_null(to);
        recipe_print(r, to);
        assert_int_equal(fclose(to), 0);
        return text;
}

static void test_recipe(void **state)
{
        Recipe r = {}, again = {};
        Error error = {};

        assert_int_equal(recipe_parse_option(&r, "seed", "77", &error), 0);
        assert_int_equal(recipe_parse_option(&r, "profile", "usual", &error), 0);
        assert_int_equal(recipe_parse_option(&r, "receivers", "2", &error), 0);
        assert_int_equal(recipe_parse_option(&r, "skip", "3,5-9,12", &error), 0);
        assert_int_equal(recipe_parse_option(&r, "halve", "1-2,2,10x4", &error), 0);
        assert_int_equal(recipe_parse_option(&r, "trace", "", &error), -ENOENT);
        assert_int_equal(recipe_parse_option(&r, "skip", "5-3", &error), -EINVAL);
        assert_int_equal(recipe_parse_option(&r, "skip", "", &error), -EINVAL);
        assert_int_equal(recipe_parse_option(&r, "skip", "5x2", &error), -EINVAL);
        assert_int_equal(recipe_parse_option(&r, "halve", "5x", &error), -EINVAL);
        assert_int_equal(recipe_parse_option(&r, "seed", "x", &error), -EINVAL);
        assert_int_equal(recipe_parse_option(&r, "profile", "nonsense", &error), -EINVAL);

        char *text = format(&r);
        assert_string_equal(
                        text, "--seed 77 --profile usual --receivers 2 --skip 3,5-9,12 --halve 1,2x2,10x4");
        free(text);

        assert_int_equal(recipe_parse_option(&again, "seed", "77", &error), 0);
        again.profile = "usual";
        Plan *p = recipe_plan(&r), *whole = recipe_plan(&again);
        assert_true(p->n_steps < whole->n_steps);
        for (size_t i = 0; i < p->n_steps; i++) {
                const unsigned index = p->steps[i].index;

                assert_false(index == 3 || (index >= 5 && index <= 9) || index == 12);
                if (index == 2)
                        assert_int_equal(p->steps[i].usec, whole->steps[1].usec / 4);
        }
        assert_int_equal(p->draws, 77);
        (void) plan_free(p);
        (void) plan_free(whole);
        recipe_clear(&r);
        recipe_clear(&again);
}

/* A run that breaks when two certain steps are there, one of them long enough. */

typedef struct Fake {
        unsigned kill, send, n_runs;
        uint64_t lucky; /* the only draws with which it breaks; 0: any */
} Fake;

static ShrinkTrial run_fake(const Recipe *r, const Plan *p, void *userdata)
{
        Fake *f = userdata;
        bool kill = false, send = false;
        uint64_t at = 0;

        f->n_runs++;
        for (size_t i = 0; i < p->n_steps; i++) {
                const Step *s = p->steps + i;

                kill = kill || (s->index == f->kill && s->usec >= 100);
                send = send || s->index == f->send;
                if (s->index == f->kill || s->index == f->send)
                        at = MAX(at, s->at);
        }
        return (ShrinkTrial){kill && send && (f->lucky == 0 || p->draws % 3 == f->lucky % 3), at};
}

static void make_fake(Fake *f, const Recipe *r)
{
        Plan *p = recipe_plan(r);

        *f = (Fake){};
        for (size_t i = 0; i < p->n_steps; i++) {
                const Step *s = p->steps + i;

                if (s->kind >= STEP_KILL && s->usec > 3000 && f->kill == 0)
                        f->kill = s->index;
                if (s->kind == STEP_SEND)
                        f->send = s->index;
        }
        (void) plan_free(p);
}

static void test_shrink(void **state)
{
        unsigned n_shrunk = 0;

        for (uint64_t seed = 1; seed < 40; seed++) {
                Recipe r = {.seed = seed, .profile = "usual"};
                Fake f;

                make_fake(&f, &r);
                if (f.kill == 0 || f.send == 0)
                        continue;
                f.lucky = seed % 2 ? seed : 0;
                const ShrinkMethod method = {.run = run_fake, .userdata = &f};
                const unsigned n = shrink(&r, &method);
                assert_int_equal(n, f.n_runs);
                Plan *p = recipe_plan(&r);
                assert_int_equal(p->n_steps, 2);
                assert_int_equal(p->n_clients, 1);
                assert_int_equal(p->n_receivers, 1);
                for (size_t i = 0; i < 2; i++)
                        if (p->steps[i].index == f.kill)
                                assert_in_range(p->steps[i].usec, 100, 199);
                assert_true(run_fake(&r, p, &f).breaks);
                (void) plan_free(p);

                /* What is printed makes the same plan. */
                Recipe typed = {};
                Error error = {};
                char *text = format(&r), *rest = text, *word;
                while ((word = strsep(&rest, " ")))
                        assert_int_equal(recipe_parse_option(&typed, word + 2, strsep(&rest, " "), &error),
                                        0);
                Plan *q = recipe_plan(&typed);
                p = recipe_plan(&r);
                assert_same_steps(p, q);
                assert_int_equal(p->draws, q->draws);
                (void) plan_free(p);
                (void) plan_free(q);
                free(text);
                recipe_clear(&typed);
                recipe_clear(&r);
                n_shrunk++;
        }
        assert_true(n_shrunk > 10);
}

static void test_shrink_nothing(void **state)
{
        Recipe r = {.seed = 5, .profile = "small"};
        Fake f = {.kill = UINT32_MAX};
        const ShrinkMethod method = {.run = run_fake, .userdata = &f};

        assert_int_equal(shrink(&r, &method), 0);
        assert_null(r.steps);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_draws),
                        cmocka_unit_test(test_draws_stay),
                        cmocka_unit_test(test_same_seed_same_plan),
                        cmocka_unit_test(test_every_profile),
                        cmocka_unit_test(test_all_kinds_appear),
                        cmocka_unit_test(test_limits),
                        cmocka_unit_test(test_recipe),
                        cmocka_unit_test(test_shrink),
                        cmocka_unit_test(test_shrink_nothing),
        };

        return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
