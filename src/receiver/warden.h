/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A second process that outlives the receiver by a moment, however that one ends. It holds the lock on the
 * state directory and knows the process groups of the handlers that run. When the receiver is gone, be it by
 * SIGKILL, it kills those groups, waits until they are dead and goes too; only then is the lock free. So no
 * handler ever runs beside the successor of its receiver. */

#include <sys/types.h>

#include "base/macro.h"

typedef struct Warden {
        pid_t pid; /* 0: none */
        int fd;    /* the pipe whose end tells the warden that we are gone */
} Warden;

/* Forks; to be called while the process has one thread. 0 or negative errno. */
int warden_start(int lock_fd, Warden *ret);

/* A handler begins; called by itself, before its program does, so that there is no moment in which it runs
 * and the warden cannot know: as long as the handler has not said so it holds our pipe open.
 * Async-signal-safe. */
int warden_begin(const Warden *w, pid_t group);
/* It has ended, and is not reaped yet: its number is still its own. */
void warden_end(const Warden *w, pid_t group);

void warden_stop(Warden *w); /* whatever still runs is killed; returns when the warden has gone */
