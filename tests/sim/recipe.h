/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How a plan is made: a seed, and what is changed about its plan. A recipe is what people type and what the
 * list of regressions keeps: "--seed 7 --profile small --skip 3,5-9". */

#include <stdio.h>

#include "base/error.h"
#include "sim/plan.h"

#define STEP_LEFT_OUT 255u
#define HALVINGS_MAX  30u

typedef struct Recipe {
        uint64_t seed, draws; /* draws: as in Plan; 0: as the seed */
        const char *profile;  /* NULL: as the seed says; not owned */
        PlanLimits limits;
        unsigned char *steps; /* by index - 1: STEP_LEFT_OUT, or how often its numbers are halved; owned */
        size_t n_steps;       /* those above are as planned */
} Recipe;

void recipe_clear(Recipe *r);
Recipe recipe_copy(const Recipe *r);
/* NULL: there is no such profile. */
Plan *recipe_plan(const Recipe *r);

unsigned recipe_get(const Recipe *r, unsigned index);
void recipe_set(Recipe *r, unsigned index, unsigned value);
/* One option of the command line, without its dashes. 0, -EINVAL (with a sentence), or -ENOENT: not an
 * option of a recipe. */
int recipe_parse_option(Recipe *r, const char *name, const char *value, Error *error);
/* All options, as people type them. The profile is always there, because weights may change. */
void recipe_print(const Recipe *r, FILE *to);
