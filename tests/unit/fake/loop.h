/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* runtime/loop.h, timer.h and watch.h and base/clock.h without waiting: a test moves the clock, and what is
 * due happens. Descriptors are only numbers; the test says which of them are ready. */

#include "runtime/loop.h"
#include "runtime/timer.h"
#include "runtime/watch.h"

void fake_loop_reset(void); /* for the next test; the loop must be free */

/* Lets this much time pass. Timers fire in the order of their times, each at its time exactly. */
void fake_loop_run(uint64_t usec);
/* The same time passes, but nothing happens meanwhile: as if the machine was suspended. */
void fake_clock_jump(uint64_t usec);

/* The watches of this descriptor are called once, in the next iteration. False: it is not watched for any of
 * the events. */
bool fake_watch_ready(int fd, uint32_t events);

/* Called between iterations, for other fakes that have work to do; true: it did something. NULL: none. */
void fake_loop_set_idle(bool (*idle)(void *userdata), void *userdata);

/* Signals. */
void fake_loop_stop(void);
void fake_loop_reload(void);

bool fake_loop_is_over(void); /* loop_exit() was called */
int fake_loop_code(void);
