/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Makes a failing plan small: leaves out steps, then machines, receivers and clients, then halves numbers,
 * while the plan still breaks the same promise.
 *
 * To leave out one step changes everything that is drawn later in the run, so a failure that needs luck
 * would often hide. Therefore a candidate is tried with several seeds for these draws (Plan.draws). */

#include "sim/recipe.h"

typedef struct ShrinkTrial {
        bool breaks; /* the same promise */
        uint64_t at; /* when; virtual time from the beginning of the run, or UINT64_MAX if not known */
} ShrinkTrial;

typedef struct ShrinkMethod {
        ShrinkTrial (*run)(const Recipe *r, const Plan *plan, void *userdata); /* `plan` is that of `r` */
        bool (*is_over)(void *userdata); /* no more trials; may be NULL */
        /* Called after each smaller plan; may be NULL. */
        void (*progress)(const Plan *plan, unsigned n_trials, void *userdata);
        void *userdata;
        unsigned n_draws; /* seeds of draws for each candidate; 0: 3 */
} ShrinkMethod;

/* `r` is made small in place. Returns the number of trials; 0: it did not fail in the first one, and nothing
 * was changed. */
unsigned shrink(Recipe *r, const ShrinkMethod *method);
