/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The only place that reads the clock, so that a test can replace it. */

#include <time.h>

#include "base/macro.h"

/* Microseconds of CLOCK_BOOTTIME (durations, timers) or CLOCK_REALTIME (instants shown to people). */
uint64_t now_usec(clockid_t clock);
