/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What both benchmark programs share: their options, and latencies in a histogram of constant size. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/macro.h"

typedef struct BenchOptions {
        unsigned size;      /* bytes of one payload */
        unsigned receivers; /* 1 to BENCH_RECEIVERS_MAX */
        unsigned window;    /* messages in flight, in total */
        bool durable;
        double seconds, warmup;
        const char *directory; /* for logs, sockets, state */
        const char *path;      /* stream, or bus */
        const char *handler;   /* builtin, or exec */
} BenchOptions;

#define BENCH_RECEIVERS_MAX 64u

/* Exits with 2 for what cannot be understood, with 3 for a mode, path or handler that `known` does not have.
 */
void bench_options(int argc, char **argv, const char *usage, BenchOptions *ret);

/* Buckets of 1/64 of an octave. */
typedef struct Histogram {
        uint64_t counts[64 * 64];
        uint64_t n;
} Histogram;

void histogram_add(Histogram *h, uint64_t nsec);
double histogram_usec(const Histogram *h, double quantile);

uint64_t bench_now(void); /* ns, CLOCK_MONOTONIC */
void bench_die(const char *what);
double bench_cpu_seconds(int who); /* RUSAGE_SELF, RUSAGE_CHILDREN: so far */
