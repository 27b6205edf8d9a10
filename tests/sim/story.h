/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a person must know to understand a broken promise: the steps that are left of the plan, the life of
 * the message in question, and that of the processes around it. */

#include <stdio.h>

#include "sim/observation.h"

typedef struct Story Story;

Story *story_new(const Plan *plan);
Story *story_free(Story *s);
/* Keeps what it needs; for short runs, because it keeps all of it. */
void story_see(Story *s, const Observation *o);

typedef struct StoryFocus {
        const char *rule, *promise, *text; /* promise may be NULL */
        uint64_t began, at; /* CLOCK_BOOTTIME of the run and of the verdict; at 0: not known */
        sd_id128_t id;      /* of the message, or null */
        int process;        /* its number, or -1 */
} StoryFocus;
void story_print(const Story *s, const StoryFocus *focus, FILE *to);
