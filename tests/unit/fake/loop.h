/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* runtime/loop.h, timer.h and watch.h and base/clock.h without waiting. The test moves the clock, and timers
 * that are due fire. Descriptors are only numbers; the test says which of them are ready. */

#include "runtime/loop.h"
#include "runtime/timer.h"
#include "runtime/watch.h"

void fake_loop_reset(void); /* before the next test; the loop must have been freed */

/* Lets `usec` pass. Timers fire in the order of their times, each exactly at its time. */
void fake_loop_run(uint64_t usec);
/* Lets `usec` pass without running anything, as if the machine was suspended. */
void fake_clock_jump(uint64_t usec);

/* Calls the watches of this descriptor once, in the next iteration. Returns false if no watch waits for any
 * of the events. */
bool fake_watch_ready(int fd, uint32_t events);

/* `idle` runs between iterations and lets other fakes work. It returns true if it did something. NULL: none.
 */
void fake_loop_set_idle(bool (*idle)(void *userdata), void *userdata);

/* Signals. */
void fake_loop_stop(void);
void fake_loop_reload(void);

bool fake_loop_is_over(void); /* loop_exit() was called */
int fake_loop_code(void);
