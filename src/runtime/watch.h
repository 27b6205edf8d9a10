/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Waits on the loop until a descriptor is ready. Embed it by value; it must not move in memory while it is
 * started. The descriptor stays its owner's: stop the watch before the descriptor is closed. */

#include <sys/epoll.h>

#include "runtime/loop.h"

typedef struct Watch {
        struct WatchSource *source; /* NULL: it is not started */
        void (*fn)(uint32_t events, void *userdata);
        void *userdata;
} Watch;

/* `events` are EPOLLIN and EPOLLOUT; EPOLLERR and EPOLLHUP are always reported. Calls `fn` again
 * and again while the descriptor is ready. `fn` may stop the watch. 0 or negative errno; then there is
 * nothing to stop. */
int watch_start(Watch *w, Loop *loop, int fd, uint32_t events, void (*fn)(uint32_t events, void *userdata),
                void *userdata);
/* As watch_start(), for a kind of descriptor of which there may be thousands. */
int watch_start_one_of_many(Watch *w, Loop *loop, int fd, uint32_t events,
                void (*fn)(uint32_t events, void *userdata), void *userdata);
void watch_stop(Watch *w); /* safe on a zeroed Watch, and twice */

void watch_change(Watch *w, uint32_t events);
void watch_pause(Watch *w, bool pause); /* while paused, nothing is reported, not even errors */
static inline bool watch_is_started(const Watch *w)
{
        return w->source;
}
