/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Handlers of simulated receivers (runtime/child.h). The simulator decides when they end, and how. */

#include "world/process.h"

/* Called when a handler begins, outside of the process. `receiver` is the process that started it. */
typedef void (*ChildBegan)(TestChild *c, Process *receiver, void *userdata);
/* Called once when it is dead: it ended, or was killed (by its receiver, by its time limit, or by the warden
 * after its receiver was killed). */
typedef void (*ChildDied)(TestChild *c, Process *receiver, bool killed, void *userdata);
void child_set_script(ChildBegan began, ChildDied died, void *userdata);

/* How long the warden of a killed receiver needs before its handlers are dead and the lock is free. */
void child_set_warden_delay(uint64_t min_usec, uint64_t max_usec);
