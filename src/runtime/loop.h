/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One daemon's event loop, and the signals that end it or reload the configuration. Timers (runtime/timer),
 * descriptors (runtime/watch) and everything else that waits are started on it.
 *
 * Callbacks never report failure to the loop: one that cannot go on calls loop_exit(). */

#include <time.h>

#include "base/macro.h"

typedef struct Loop Loop;

/* SIGTERM and SIGINT. Called once; a second signal ends the loop at once. */
typedef void (*LoopStop)(void *userdata);
/* SIGHUP. */
typedef void (*LoopReload)(void *userdata);

/* `stop` NULL: signals end the loop at once. Until loop_set_reload(), SIGHUP is ignored. 0 or negative
 * errno. Blocks the signals for this thread and ignores SIGPIPE. One loop for each thread. */
int loop_new(LoopStop stop, void *userdata, Loop **ret);
Loop *loop_free(Loop *l);
DEFINE_CLEANUP(Loop *, loop_free)

void loop_set_reload(Loop *l, LoopReload reload, void *userdata);

/* Runs until loop_exit(); returns its code, or negative errno. */
int loop_run(Loop *l);
int loop_iterate(Loop *l, uint64_t usec); /* one iteration that waits at most so long; for tests */
void loop_exit(Loop *l, int code);

/* The time at which the iteration began, in µs. Cheaper than now_usec(), for work that is done for every
 * message and need not be exact. */
uint64_t loop_now(Loop *l, clockid_t clock);

/* `post` is called at the end of each iteration in which something happened, and again after the deferred
 * work. NULL: nothing is called. One iteration calls the callbacks of everything that is ready or becomes
 * ready meanwhile, but some hundred callbacks at most. Those of
 * many connections that are ready together have one time (loop_now()). */
void loop_set_post(Loop *l, void (*post)(void *userdata), void *userdata);

/* Work that runs once at the end of the iteration, however often it was deferred. Its owner embeds it by
 * value. */
typedef struct LoopWork LoopWork;
struct LoopWork {
        void (*run)(void *userdata);
        void *userdata;
        bool deferred;
        LoopWork *prev, *next;
};
void loop_defer(Loop *l, LoopWork *work); /* does nothing when it is deferred already */
void loop_cancel(Loop *l,
                LoopWork *work); /* does nothing when it is not deferred; `work` may be freed then */
