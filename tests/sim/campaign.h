/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Many runs. */

#include "sim/replay.h"

/* Return exit codes. */
int campaign_run(const SimOptions *o);
/* The runs of a list. Each must keep all promises, or (`known`) break the rule that stands there. */
int campaign_check_list(const SimOptions *o, const char *path, bool known);
/* Adds the rules of a list of known faults to those that are not checked. 0 or a negative errno. */
int campaign_except(SimOptions *o, const char *path);
