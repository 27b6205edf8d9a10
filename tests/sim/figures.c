/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/figures.h"

#include <inttypes.h>

#include "sim/pool.h"

void figures_add(Figures *f, const RunReport *r)
{
        const RunResult *x = &r->result;

        f->n_runs++;
        f->virtual_usec += x->virtual_usec;
        f->n_observations += x->n_observations;
        f->n_messages += x->n_accepted;
        f->n_effects += x->n_effects;
        f->n_kills += x->n_kills;
        f->n_lost_power += x->n_lost_power;
        f->n_flips += x->n_flips;
        f->n_partitions += x->n_steps[STEP_PARTITION];
        for (StepKind kind = STEP_KILL; kind < _STEP_KIND_MAX; kind++)
                f->n_faults += x->n_steps[kind];
        f->cpu_seconds += x->cpu_seconds;
}

static double per_second(uint64_t n, const Figures *f)
{
        return f->cpu_seconds > 0 ? (double) n / f->cpu_seconds : 0;
}

void figures_print(const Figures *f, FILE *to)
{
        fprintf(to, "%" PRIu64 " runs, %" PRIu64 " failed", f->n_runs, f->n_failed);
        if (f->n_known > 0)
                fprintf(to, ", %" PRIu64 " with a known fault", f->n_known);
        fprintf(to,
                        "; %.1f virtual hours, %" PRIu64 " messages, %" PRIu64 " effects, %" PRIu64
                        " faults; %" PRIu64 " kills, %" PRIu64 " losses of power, %" PRIu64
                        " partitions, %" PRIu64
                        " bit flips; %.1f s of CPU (%.1f runs and %.0f messages per second)",
                        (double) f->virtual_usec / 3.6e9, f->n_messages, f->n_effects, f->n_faults,
                        f->n_kills, f->n_lost_power, f->n_partitions, f->n_flips, f->cpu_seconds,
                        per_second(f->n_runs, f), per_second(f->n_messages, f));
}

void figures_print_short(const Figures *f, FILE *to)
{
        const double seconds = (double) (pool_now() - f->began) / 1e6;

        fprintf(to, "%.0f s: %" PRIu64 " runs, %" PRIu64 " failed, %.1f virtual hours, %" PRIu64 " messages",
                        seconds, f->n_runs, f->n_failed, (double) f->virtual_usec / 3.6e9, f->n_messages);
}

void figures_print_json(const Figures *f, FILE *to)
{
        fprintf(to,
                        "{\"runs\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"known\":%" PRIu64
                        ",\"virtual_hours\":%.3f,\"observations\":%" PRIu64 ",\"messages\":%" PRIu64
                        ",\"effects\":%" PRIu64 ",\"faults\":%" PRIu64 ",\"kills\":%" PRIu64
                        ",\"losses_of_power\":%" PRIu64 ",\"partitions\":%" PRIu64 ",\"bit_flips\":%" PRIu64
                        ",\"cpu_seconds\":%.3f}\n",
                        f->n_runs, f->n_failed, f->n_known, (double) f->virtual_usec / 3.6e9,
                        f->n_observations, f->n_messages, f->n_effects, f->n_faults, f->n_kills,
                        f->n_lost_power, f->n_partitions, f->n_flips, f->cpu_seconds);
}
