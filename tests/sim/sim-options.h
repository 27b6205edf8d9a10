/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The command line of ackgroup-sim. */

#include "sim/recipe.h"

typedef struct SimOptions {
        Recipe recipe;        /* of one run, or what all runs have in common */
        bool one;             /* --seed */
        bool many;            /* --seeds, --from, --count, --seconds */
        uint64_t from, count; /* count 0: no limit */
        uint64_t seconds;     /* 0: no limit */
        bool fresh;           /* the first seed comes from the kernel's random numbers */
        unsigned jobs, cpu_seconds, shrink_seconds, failures;
        uint64_t until;
        char *disabled; /* owned; NULL: none */
        const char *except, *check_known, *check_fixed, *write;
        bool trace, story, shrink, hash, json, twice, plan, no_fork, no_memory_faults;
        bool rules, profiles, help;
} SimOptions;

/* Reads the command line. 0, or an exit code after printing the reason. */
int sim_options_parse(SimOptions *o, int argc, char **argv);
void sim_options_clear(SimOptions *o);
void sim_options_disable(SimOptions *o, const char *rules);
void sim_help(void);
