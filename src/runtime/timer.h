/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Calls a function from the loop at a time of CLOCK_BOOTTIME. */

#include "base/time-util.h"
#include "runtime/loop.h"

typedef struct Timer {
        struct sd_event_source *source;
        void (*fn)(void *userdata);
        void *userdata;
        uint64_t due; /* the earliest time at which it is called */
} Timer;

/* Embed it by value; it must not move in memory afterwards. It is not armed. 0 or negative errno. */
int timer_init(Timer *t, Loop *loop, const char *description, void (*fn)(void *userdata), void *userdata);
void timer_clear(Timer *t); /* safe on a zeroed Timer, and twice */

int timer_arm_in(Timer *t, uint64_t usec); /* from now; replaces what was armed; USEC_INFINITY disarms */
int timer_arm_at(Timer *t, uint64_t usec); /* absolute CLOCK_BOOTTIME */
void timer_disarm(Timer *t);
bool timer_is_armed(const Timer *t);
/* Only from inside `fn`: how many µs too late it was called, for instance because the machine was suspended.
 * What peers have sent meanwhile may still be unread. */
uint64_t timer_late(const Timer *t);
