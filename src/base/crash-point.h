/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A named step, at which a crash must do no harm. In a build with -Dcrash_points=true the process aborts at
 * the step that its environment names: ACKGROUP_CRASH_AT=NAME, or NAME:3 for the third time. In any other
 * build this function is empty. tests/crash visits every step. */

#include <stdbool.h>

#include "config.h"

#if ACKGROUP_CRASH_POINTS
void crash_point(const char *name);
bool crash_is_planned(void); /* the environment names a step */
#else
static inline void crash_point(const char *name)
{
}

static inline bool crash_is_planned(void)
{
        return false;
}
#endif
