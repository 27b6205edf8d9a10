/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/recipe.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse-util.h"
#include "sim/plan-profile.h"

#define LIMIT_MAX 1000000ull

void recipe_clear(Recipe *r)
{
        free(r->steps);
        *r = (Recipe){};
}

Recipe recipe_copy(const Recipe *r)
{
        Recipe c = *r;

        c.steps = malloc(MAX(r->n_steps, 1u));
        assert(c.steps);
        if (r->n_steps > 0)
                memcpy(c.steps, r->steps, r->n_steps);
        return c;
}

unsigned recipe_get(const Recipe *r, unsigned index)
{
        assert(index > 0);
        return index <= r->n_steps ? r->steps[index - 1] : 0;
}

void recipe_set(Recipe *r, unsigned index, unsigned value)
{
        assert(index > 0);
        if (index > r->n_steps) {
                const size_t n = MAX((size_t) index, 2 * r->n_steps);

                r->steps = realloc(r->steps, n);
                assert(r->steps);
                memset(r->steps + r->n_steps, 0, n - r->n_steps);
                r->n_steps = n;
        }
        r->steps[index - 1] = (unsigned char) value;
}

/* Halves what has an amount: messages of a bulk, sizes, durations. */
static void halve(Step *s)
{
        PlannedMessage *g = &s->message;

        if (s->kind == STEP_BULK)
                s->b = MAX(s->b / 2, 1u);
        s->usec /= 2;
        g->size = MAX(g->size / 2, 8u);
        g->work_usec = MAX(g->work_usec / 2, 100u);
        g->delay_usec /= 2;
        g->poison = (g->poison + 1) / 2;
        g->failures = (g->failures + 1) / 2;
}

Plan *recipe_plan(const Recipe *r)
{
        Plan *whole = plan_new(r->seed, r->profile, &r->limits), *p;
        bool *left_out;

        if (!whole)
                return NULL;
        left_out = calloc(MAX(whole->n_steps, 1u), sizeof *left_out);
        assert(left_out);
        for (size_t i = 0; i < whole->n_steps; i++)
                left_out[i] = recipe_get(r, whole->steps[i].index) == STEP_LEFT_OUT;
        p = plan_copy_without(whole, left_out);
        free(left_out);
        (void) plan_free(whole);
        for (size_t i = 0; i < p->n_steps; i++)
                for (unsigned k = recipe_get(r, p->steps[i].index); k > 0; k--)
                        halve(p->steps + i);
        if (r->draws > 0)
                p->draws = r->draws;
        return p;
}

/* Text. */

/* "5", "5-9", "5x3", "5-9x3" */
static int parse_range(char *word, unsigned *ret_first, unsigned *ret_last, unsigned *ret_times)
{
        char *times = strchr(word, 'x'), *last;

        *ret_times = 1;
        if (times) {
                *times++ = 0;
                if (parse_unsigned(times, 1, HALVINGS_MAX, ret_times) < 0)
                        return -EINVAL;
        }
        last = strchr(word, '-');
        if (last)
                *last++ = 0;
        if (parse_unsigned(word, 1, 1000000, ret_first) < 0)
                return -EINVAL;
        *ret_last = *ret_first;
        return last ? parse_unsigned(last, *ret_first, 1000000, ret_last) : 0;
}

/* "3,5-9": leaves these steps out. With `halved`: halves their numbers once more, or "3,5-9x4" four times.
 * 0, or -EINVAL with a sentence. */
static int parse_steps(Recipe *r, const char *list, bool halved, Error *error)
{
        char *copy = strdup(list), *rest = copy, *word;
        unsigned first = 0, last = 0, times = 0;
        int ret = 0;

        assert(copy);
        while (ret == 0 && (word = strsep(&rest, ","))) {
                if (parse_range(word, &first, &last, &times) < 0 || (times > 1 && !halved)) {
                        ret = error_set(error, -EINVAL, "\"%s\" is no list of steps like 3,5-9", list);
                        break;
                }
                for (unsigned i = first; i <= last; i++)
                        recipe_set(r, i,
                                        halved ? MIN(recipe_get(r, i) + times, HALVINGS_MAX)
                                               : STEP_LEFT_OUT);
        }
        free(copy);
        return ret;
}

typedef struct RecipeOption {
        const char *name;
        size_t offset;
        bool is_limit;
} RecipeOption;

static const RecipeOption numbers[] = {
                {"seed", offsetof(Recipe, seed), false},
                {"draws", offsetof(Recipe, draws), false},
                {"clients", offsetof(Recipe, limits.clients), true},
                {"receivers", offsetof(Recipe, limits.receivers), true},
                {"machines", offsetof(Recipe, limits.machines), true},
                {"messages", offsetof(Recipe, limits.messages), true},
                {"faults", offsetof(Recipe, limits.faults), true},
};

static int parse_number(Recipe *r, const RecipeOption *o, const char *value, Error *error)
{
        void *field = (char *) r + o->offset;
        const int ret = o->is_limit ? parse_unsigned(value, 1, LIMIT_MAX, field)
                                    : parse_u64(value, 0, UINT64_MAX, field);

        return ret < 0 ? error_set(error, -EINVAL, "--%s: \"%s\" is no number from %u to %llu", o->name,
                                         value, o->is_limit, o->is_limit ? LIMIT_MAX : ULLONG_MAX)
                       : 0;
}

int recipe_parse_option(Recipe *r, const char *name, const char *value, Error *error)
{
        const Profile *f;

        for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
                if (strcmp(name, numbers[i].name) == 0)
                        return parse_number(r, numbers + i, value, error);
        if (strcmp(name, "skip") == 0)
                return parse_steps(r, value, false, error);
        if (strcmp(name, "halve") == 0)
                return parse_steps(r, value, true, error);
        if (strcmp(name, "profile") != 0)
                return -ENOENT;
        f = profile_find(value);
        if (!f)
                return error_set(error, -EINVAL, "there is no profile \"%s\"; --profiles lists them", value);
        r->profile = f->name;
        return 0;
}

/* Writes the steps with this value. Returns what stands before the next ones. */
static const char *print_steps(FILE *to, const Recipe *r, const char *before, unsigned value)
{
        for (unsigned i = 1; i <= r->n_steps; i++) {
                unsigned last = i;

                if (recipe_get(r, i) != value)
                        continue;
                while (last < r->n_steps && recipe_get(r, last + 1) == value)
                        last++;
                fprintf(to, last > i ? "%s%u-%u" : "%s%u", before, i, last);
                if (value != STEP_LEFT_OUT && value > 1)
                        fprintf(to, "x%u", value);
                before = ",";
                i = last;
        }
        return before;
}

void recipe_print(const Recipe *r, FILE *to)
{
        Plan *p = plan_new(r->seed, r->profile, NULL);
        const char *before;

        assert(p);
        fprintf(to, "--seed %" PRIu64 " --profile %s", r->seed, p->profile);
        if (r->draws > 0 && r->draws != r->seed)
                fprintf(to, " --draws %" PRIu64, r->draws);
        for (size_t i = 0; i < ELEMENTSOF(numbers); i++) {
                const void *field = (const char *) r + numbers[i].offset;

                if (numbers[i].is_limit && *(const unsigned *) field > 0)
                        fprintf(to, " --%s %u", numbers[i].name, *(const unsigned *) field);
        }
        (void) print_steps(to, r, " --skip ", STEP_LEFT_OUT);
        before = " --halve ";
        for (unsigned times = 1; times <= HALVINGS_MAX; times++)
                before = print_steps(to, r, before, times);
        (void) plan_free(p);
}
