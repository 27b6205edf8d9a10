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

typedef struct Rule {
        const char *name;    /* "accepted-is-durable" */
        const char *promise; /* one sentence */
} Rule;
const Rule *judge_rules(size_t *ret_n);
