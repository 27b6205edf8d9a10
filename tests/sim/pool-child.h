/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "sim/pool.h"

/* What a child writes to its pipe: at the beginning and at the end of each run. */
typedef struct PoolMessage {
        bool begins;
        uint64_t output_size; /* what it has written so far */
        RunReport report;     /* at the end */
} PoolMessage;

/* Makes the runs of jobs `from` to `to` - 1. `output`: gets standard output and error; -1: they stay. */
_Noreturn void pool_child(const PoolTask *t, uint64_t from, uint64_t to, int reports, int output);

/* One run in this process. */
void pool_run_here(const PoolTask *t, uint64_t job, RunReport *ret);

uint64_t output_size(int fd); /* 0 for -1 */
