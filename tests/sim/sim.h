/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One run of a plan: makes the world, starts the group, takes the steps, waits for the end, judges. */

#include "sim/judge.h"

typedef struct RunOptions {
        bool trace;           /* every observation on standard output */
        uint64_t trace_until; /* stop after this observation; 0: never */
        const char *disabled; /* rules that are not checked */
        bool no_allocation_failures;
        struct Story *story; /* gets every observation (story.h); may be NULL */
} RunOptions;

typedef struct RunResult {
        Verdict verdict; /* its `process` is gone with the world */
        int process;     /* the number of that process, or -1 */
        uint64_t began;  /* CLOCK_BOOTTIME of the first observation, time 0 of the plan */
        uint64_t hash;   /* of all observations */
        uint64_t n_observations;
        uint64_t virtual_usec;
        uint64_t n_accepted, n_ended, n_runs, n_effects;
        uint64_t n_steps[_STEP_KIND_MAX]; /* taken */
        uint64_t n_lost_power, n_kills, n_flips;
        double cpu_seconds;
} RunResult;

/* Runs in this process. A crash of the code under test ends this process; the caller forks first. */
void sim_run(const Plan *plan, const RunOptions *options, RunResult *ret);
