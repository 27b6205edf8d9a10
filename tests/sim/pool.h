/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Many runs in child processes. A child makes several runs; when it dies in one of them, that is the result
 * of this run. Real time is used for limits and progress only. */

#include "sim/run-report.h"

typedef struct PoolTask {
        uint64_t first, n; /* numbers of jobs; n may be UINT64_MAX */
        unsigned n_children;
        unsigned batch;       /* runs of one child; 0: as many as is good */
        unsigned cpu_seconds; /* of one run */
        bool twice;           /* each run is repeated in its child, and must have the same hash */
        bool show_output;     /* the standard output of children is ours; otherwise it is kept for `done` */
        const RunOptions *options;
        /* In a child: fills in the recipe of this job, which the pool frees. */
        void (*make)(uint64_t job, Recipe *ret, void *userdata);
        /* In a child, after the run; may be NULL. */
        void (*after)(const Plan *plan, const RunOptions *options, const RunReport *r, void *userdata);
        /* In a child, before the run: fills in what is made for each run (a story); may be NULL. */
        void (*before)(const Plan *plan, RunOptions *options, void *userdata);
        /* Here. `output`: what the child wrote during the run, "" in most cases. */
        void (*done)(const RunReport *r, const char *output, void *userdata);
        /* Here, several times a second. Returns false to stop; runs that are under way are dropped. */
        bool (*go_on)(void *userdata);
        void *userdata;
} PoolTask;

/* 0, or a negative errno when no process can be made. */
int pool_run(const PoolTask *t);

uint64_t pool_now(void); /* real time, µs */
