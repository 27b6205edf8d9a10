/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Handlers of simulated receivers (runtime/child.h). The simulator decides when they end, and how.
 *
 * A handler is a group of processes: its leader, and perhaps a descendant. It is dead when both are. The
 * group outlives its receiver until the warden has killed it. */

#include "world/process.h"

/* Called when a handler begins: it has read its input to the end. Outside of any process. `receiver` is the
 * process that started it. A handler whose receiver is killed before it has written the input never begins,
 * since it sees that the input is cut off. */
typedef void (*ChildBegan)(TestChild *c, Process *receiver, void *userdata);
/* Called once for each handler that began, when it is dead. `killed`: the leader did not end by itself. The
 * TestChild is freed afterwards. May be called in the middle of the receiver's code. Also for a handler that
 * was killed before it began (child_has_begun()), if its receiver will see that. */
typedef void (*ChildDied)(TestChild *c, Process *receiver, bool killed, void *userdata);
void child_set_script(ChildBegan began, ChildDied died, void *userdata);

/* How long the warden of a killed receiver needs before its handlers are dead and the lock is free. */
void child_set_warden_delay(uint64_t min_usec, uint64_t max_usec);
/* How long a program needs until it has begun. */
void child_set_start_delay(uint64_t min_usec, uint64_t max_usec);
/* The error of child_spawn() in this process from now on; 0: none. */
void child_set_spawn_error(Process *p, int error);

/* What a handler does, beside world_child_end(), after which it may be gone. Not after its death.
 *
 * The leader of a handler with more output than a pipe holds (64 KiB) ends when its receiver has read enough
 * of it. A handler that is killed by its receiver runs on for up to 50 µs, and may end by itself in that
 * time. */

/* Calls `fn` in so long, outside of any process, unless the handler is dead by then. A handler has one such
 * call; a new one replaces it. While its machine is suspended, its time stands still. */
void child_call_in(TestChild *c, uint64_t usec, void (*fn)(TestChild *c));
void child_set_userdata(TestChild *c, void *userdata);
void *child_userdata(const TestChild *c);
/* It leaves a descendant in its group. The descendant lives until the group is killed: when the receiver
 * sees the end of the leader, when it kills the group, or when the warden does. */
void child_fork(TestChild *c);
/* Writes bytes to descriptor 3: lines, or parts of lines. False: the pipe is full, or nobody reads it. */
bool child_report(TestChild *c, const void *data, size_t size);
bool child_has_begun(const TestChild *c);
unsigned child_life(const TestChild *c);     /* process_starts() of its receiver when it was spawned */
bool child_has_receiver(const TestChild *c); /* false: its receiver is gone; the warden will kill it */

/* Kills the warden of a receiver that runs. The receiver notices it. */
void child_kill_warden(Process *p);
/* The receiver has been killed. Its warden, if it is still there, ends now, and all handlers with it. */
void child_end_warden(const Process *receiver);
unsigned child_n_alive(void); /* groups that are not dead, also those of killed receivers */

/* For the files of the world. */

void child_suspend(Machine *m, bool suspend); /* machine_suspend() calls it */
void child_lose_power(Machine *m);            /* machine_power_off() calls it */
