/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Observations in plain words. */

#include "sim/observation.h"

/* Remembers which message has which id, so that people read "message 17". */
typedef struct Describer Describer;

Describer *describer_new(const Plan *plan);
Describer *describer_free(Describer *d);
void describer_see(Describer *d, const Observation *o);
/* Returns false if no message with this id was accepted or sent. */
bool describer_find(const Describer *d, sd_id128_t id, uint64_t *ret_number);

/* Who did it: the name of a process, or "" for the simulator. */
const char *describer_who(const Observation *o);
/* What it did: "writes to c0: acked, of message 17 (attempt 1, sequence 3 of stream …4f)". */
void describer_what(const Describer *d, const Observation *o, char *ret, size_t size);
