/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Many descriptors behind one that the loop watches. Before each callback sd-event asks the kernel for all
 * descriptors that are ready, so n callbacks for n ready descriptors cost n * n. A set asks for some at a
 * time, and calls all of these. For this folder: see runtime/watch.h. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

/* Its owner fills in the first four, and embeds it; it must not move in memory while it is in the set. */
typedef struct WatchMember {
        int fd;
        uint32_t events; /* EPOLL… */
        void (*fn)(uint32_t events, void *userdata);
        void *userdata;
        bool paused; /* the kernel does not watch it */
} WatchMember;

typedef struct WatchSet WatchSet;

/* Adds the number of its callbacks to *n_callbacks. 0 or negative errno. */
int watch_set_new(sd_event *event, unsigned *n_callbacks, WatchSet **ret);
WatchSet *watch_set_free(WatchSet *s); /* nobody may be in it any more */

/* A callback may do all of this, to any member. What is changed or paused is not called for what was ready
 * before. */
int watch_set_add(WatchSet *s, WatchMember *m); /* 0 or negative errno */
void watch_set_remove(WatchSet *s, WatchMember *m);
void watch_set_change(WatchSet *s, WatchMember *m, uint32_t events);
void watch_set_pause(WatchSet *s, WatchMember *m, bool pause);
