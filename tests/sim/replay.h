/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One plan: run it, show it, make it small. */

#include <stdio.h>

#include "sim/pool.h"
#include "sim/sim-options.h"

/* Runs the recipe in a child. *ret_output (may be NULL): what it wrote, malloc'ed. 0 or a negative errno. */
int replay(const SimOptions *o, const Recipe *recipe, RunReport *ret, char **ret_output);
/* The same with everything that the options show; returns an exit code. */
int replay_show(const SimOptions *o);
/* Makes it small, as long as it breaks as it did (`goal`), and tells the story. */
void replay_shrink(const SimOptions *o, const Recipe *recipe, const RunReport *goal);

void run_options(const SimOptions *o, RunOptions *ret);
/* "--seed 7 --profile small": what people type for this run, with what matters of the other options. */
void print_command(const SimOptions *o, const Recipe *recipe, FILE *to);
/* One object in a line; its rule is "" if all promises are kept. */
void print_json_run(const Recipe *recipe, const RunReport *r, FILE *to);
