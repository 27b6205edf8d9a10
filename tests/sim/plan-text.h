/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Plans in words. */

#include <stdio.h>

#include "sim/plan.h"

#define SPAN_MAX 24
const char *format_span(char ret[static SPAN_MAX], uint64_t usec); /* "3.2 s" */
/* What step_describe() says, without its time. */
void step_describe_deed(const Plan *p, const Step *s, char *ret, size_t size);
/* "to r1, 20 bytes, fails 2 times": without its number */
void message_describe(const PlannedMessage *g, char *ret, size_t size);
const char *handler_mood_to_string(HandlerMood mood);

void plan_print_group(const Plan *p, FILE *to); /* nodes and configuration */
void plan_print_steps(const Plan *p, FILE *to);
