/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What many runs did together. */

#include <stdio.h>

#include "sim/run-report.h"

typedef struct Figures {
        uint64_t n_runs, n_failed, n_known; /* known: they break a rule that is disabled */
        uint64_t virtual_usec, n_observations, n_messages, n_effects, n_kills, n_lost_power, n_partitions,
                        n_flips, n_faults;
        double cpu_seconds;
        uint64_t began; /* real time; pool_now() */
} Figures;

void figures_add(Figures *f, const RunReport *r);
void figures_print(const Figures *f, FILE *to); /* one line without a newline */
void figures_print_short(const Figures *f, FILE *to);
void figures_print_json(const Figures *f, FILE *to);
