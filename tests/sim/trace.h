/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A run as a number, and as a list of lines. */

#include <stdio.h>

#include "sim/observation.h"

/* Returns the hash of what was observed so far and of this observation. The first hash is 0. It is made of
 * the values alone, so it is the same on every machine and with every compiler. */
uint64_t trace_hash(uint64_t hash, const Observation *o);

typedef struct Trace Trace;
Trace *trace_new(const Plan *plan, uint64_t began, FILE *to); /* `began`: time 0 of the plan */
Trace *trace_free(Trace *t);
/* Prints one line: the number of the observation, the time, who, and what. */
void trace_see(Trace *t, const Observation *o);
