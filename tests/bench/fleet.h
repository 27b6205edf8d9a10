/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Private daemons: a bus, discovery, receivers, the client. The real binaries of the build that this program
 * belongs to, in one directory, on Unix sockets; ended by their pids, and by the kernel should we die. */

#include <systemd/sd-bus.h>

#include "bench.h"

typedef struct Fleet {
        const BenchOptions *options;
        char build[3072]; /* directory of the build */
        pid_t pids[BENCH_RECEIVERS_MAX + 3];
        unsigned n;
        sd_bus *bus;
} Fleet;

void fleet_start(Fleet *f, const BenchOptions *options); /* returns when every receiver is known */
void fleet_end(Fleet *f);

typedef struct FleetCpu {
        double bench, bus, discovery, receivers, client; /* seconds so far */
} FleetCpu;
FleetCpu fleet_cpu(const Fleet *f);
uint64_t fleet_rss_kb(const Fleet *f, bool daemons_only); /* their peaks, summed */
