/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The warden is a second process that outlives the receiver for a moment, however the receiver ends. It
 * holds the lock on the state directory and knows the process groups of the running handlers. When the
 * receiver is gone, even by SIGKILL, the warden kills those groups, waits until they are dead, and ends;
 * only then is the lock free. So no handler ever runs beside the next instance of its receiver. */

#include <sys/types.h>

#include "base/macro.h"

typedef struct Warden {
        pid_t pid; /* 0: none */
        int pidfd; /* becomes readable when the warden ends */
        int fd;    /* the pipe to the warden; its end tells the warden that the receiver is gone */
} Warden;

/* Forks; to be called while the process has one thread. 0 or negative errno. */
int warden_start(int lock_fd, Warden *ret);

/* A handler begins. The handler's process calls this itself, before its program: until then it holds the
 * pipe open, so the warden cannot miss it. Async-signal-safe. 0 or negative errno. */
int warden_begin(const Warden *w, pid_t group);
/* A handler has ended. To be called before its process is reaped, while no other group can have its number.
 */
void warden_end(const Warden *w, pid_t group);

/* Lets the warden kill all handlers that still run; returns when it has ended. Safe on a zeroed Warden, and
 * twice. */
void warden_stop(Warden *w);
