/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One daemon's event loop: sd-event, the signals that end or reload it, the watchdog, and what systemd is
 * told.
 *
 * sd-event callbacks return 0: a negative return would silently disable the source. A callback that cannot
 * go on calls loop_exit(). Every source is a field of its owner and is freed before the descriptor it
 * watches. */

#include <systemd/sd-event.h>

#include "base/macro.h"

typedef struct Loop Loop;

/* SIGTERM and SIGINT: asked to stop. Called once; a second signal ends the loop at once. */
typedef void (*LoopStop)(void *userdata);
/* SIGHUP. */
typedef void (*LoopReload)(void *userdata);

/* `stop` NULL: signals end the loop at once; `reload` NULL: SIGHUP is ignored. 0 or negative errno. Blocks
 * the signals, ignores SIGPIPE. The sources live in sd_event's default loop of this thread. */
int loop_new(LoopStop stop, LoopReload reload, void *userdata, Loop **ret);
/* Replaces `reload` and its userdata. */
void loop_set_reload(Loop *l, LoopReload reload, void *userdata);
Loop *loop_free(Loop *l);
DEFINE_CLEANUP(Loop *, loop_free)

sd_event *loop_event(Loop *l);

/* Runs until loop_exit(); returns its code, or negative errno. */
int loop_run(Loop *l);
int loop_iterate(Loop *l, uint64_t usec); /* one iteration, waiting so long at most; for tests */
void loop_exit(Loop *l, int code);

/* The watchdog (WATCHDOG_USEC) is fed from the loop at half its time, as long as `alive` (NULL: always) says
 * true. */
void loop_set_alive_check(Loop *l, bool (*alive)(void *userdata), void *userdata);

/* When the iteration began, in usec. For what is done for each of many messages, and need not be exact. */
uint64_t loop_now(Loop *l, clockid_t clock);

/* Called at the end of each iteration in which something happened, behind all that was ready in it, and
 * again behind the work that was put off to there. */
void loop_set_post(Loop *l, void (*rest)(void *userdata), void *userdata);

/* Work that is put off to the end of the iteration, where it is done once for all that asked for it. Cheaper
 * than a source of its own, which is an iteration of its own. Belongs to its owner. */
typedef struct LoopWork LoopWork;
struct LoopWork {
        void (*run)(void *userdata);
        void *userdata;
        bool deferred;
        LoopWork *prev, *next;
};
void loop_defer(Loop *l, LoopWork *work);  /* again while it is put off: nothing */
void loop_cancel(Loop *l, LoopWork *work); /* it may be freed; nothing when it is not put off */

/* sd_notify(); a no-op where nobody listens. */
void loop_notify_status(Loop *l, const char *format, ...) _printf_(2, 3); /* STATUS= */
void loop_notify_ready(Loop *l);                                          /* READY=1, once */
void loop_notify_stopping(Loop *l);                                       /* STOPPING=1 */
void loop_notify_extend(Loop *l, uint64_t usec); /* EXTEND_TIMEOUT_USEC=: do not kill us before */
/* While it is on, systemd is asked for more time again and again: to start, or to stop. */
void loop_extend(Loop *l, bool on);
