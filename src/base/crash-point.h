/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The named steps between which a crash must do no harm. Built with -Dcrash_points=true, a process whose
 * environment says ACKGROUP_CRASH_AT=NAME (or NAME:3, the third time) aborts there; otherwise this is
 * nothing at all. tests/crash visits every one. */

#include "config.h"

#if ACKGROUP_CRASH_POINTS
void crash_point(const char *name);
#else
static inline void crash_point(const char *name)
{
}
#endif
