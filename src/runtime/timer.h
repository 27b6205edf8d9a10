/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The only caller of sd_event_add_time(): CLOCK_BOOTTIME, accuracy 1 µs (sd-event takes 0 for 250 ms). */

#include "base/time-util.h"
#include "runtime/loop.h"

typedef struct Timer {
        sd_event_source *source;
        void (*fn)(void *userdata);
        void *userdata;
        uint64_t due; /* when it can have fired first */
} Timer;

/* Embeds by value; not armed. 0 or negative errno. Must not move in memory afterwards. */
int timer_init(Timer *t, Loop *loop, const char *description, void (*fn)(void *userdata), void *userdata);
void timer_clear(Timer *t); /* safe on a zeroed Timer, and twice */

int timer_arm_in(Timer *t, uint64_t usec); /* from now; replaces what was armed; USEC_INFINITY disarms */
int timer_arm_at(Timer *t, uint64_t usec); /* absolute CLOCK_BOOTTIME */
void timer_disarm(Timer *t);
bool timer_is_armed(const Timer *t);
/* In its function: for how long the loop did not come to it, as after the machine was suspended. What others
 * have said meanwhile may not have been read. */
uint64_t timer_late(const Timer *t);
