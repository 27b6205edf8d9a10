/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Plans in words. */

#include <stdio.h>

#include "sim/plan.h"

/* What step_describe() says, without its time. */
void step_describe_deed(const Plan *p, const Step *s, char *ret, size_t size);

void plan_print_group(const Plan *p, FILE *to); /* nodes and configuration */
void plan_print_steps(const Plan *p, FILE *to);
