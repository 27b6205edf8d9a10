/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A run as its parent process sees it. */

#include "sim/recipe.h"
#include "sim/sim.h"

#define RULE_MAX 48

/* Rules beside those of the judge. */
#define RULE_CRASH   "crash"   /* the process of the run died */
#define RULE_HANG    "hang"    /* it used too much CPU time */
#define RULE_REPEATS "repeats" /* the same plan gave another hash */

typedef struct RunReport {
        uint64_t job;
        char rule[RULE_MAX]; /* "": nothing is broken */
        char text[1000];
        uint64_t at;      /* of the verdict, from the beginning of the run; UINT64_MAX: not known */
        RunResult result; /* without its pointers */
} RunReport;

static inline bool report_is_good(const RunReport *r)
{
        return r->rule[0] == 0;
}

const char *rule_promise(const char *rule); /* one sentence; NULL: there is no such rule */
/* `rules`: names with commas between them, or NULL. */
bool rules_contain(const char *rules, const char *rule);
