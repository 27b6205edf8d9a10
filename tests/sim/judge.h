/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Checks every promise of docs/PROTOCOL.md against what was observed. The first one that breaks ends the
 * run. */

#include "sim/observation.h"

typedef struct Judge Judge;

typedef struct Verdict {
        const char *rule; /* NULL: nothing is broken */
        char text[1000];  /* who did what, in one or two sentences */
        uint64_t at;
        sd_id128_t id;    /* of the message that it is about, or null */
        Process *process; /* or NULL */
} Verdict;

/* `disabled`: names of rules that are not checked, separated by commas; may be NULL. */
Judge *judge_new(const Plan *plan, const char *disabled);
Judge *judge_free(Judge *j);
/* Returns false once a promise is broken; then `judge_verdict` says which. */
bool judge_see(Judge *j, const Observation *o);
const Verdict *judge_verdict(const Judge *j);
/* True if everything that was accepted has ended, as far as callers were told. */
bool judge_is_satisfied(const Judge *j);

/* What a run was like, for the note. */
typedef struct JudgeStatistics {
        uint64_t n_submitted, n_accepted, n_refused, n_callers_lost;
        uint64_t n_acked, n_rejected, n_cancelled, n_dead;               /* messages, once each */
        uint64_t n_runs, n_effects, n_repeated_runs, n_repeated_effects; /* repeated: legal duplicates */
        uint64_t n_flagged_runs, n_moved, n_sends, n_busy, n_loads, n_revived, n_purged, n_lost_in_memory;
        uint64_t n_excepted; /* messages that were not judged in full, because of a restored state etc. */
} JudgeStatistics;
const JudgeStatistics *judge_statistics(const Judge *j);

typedef struct Rule {
        const char *name;    /* "accepted-is-durable" */
        const char *promise; /* one sentence */
} Rule;
const Rule *judge_rules(size_t *ret_n);
