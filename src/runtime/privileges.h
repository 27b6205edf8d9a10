/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The unit of a receiver makes it a member of a group, so that it may use sockets, and gives it the
 * capability CAP_SETGID (AmbientCapabilities=), so that its handlers need not be members. */

#include "base/macro.h"

/* True: this process has the ambient capability CAP_SETGID. */
bool privileges_may_leave_groups(void);

/* Leaves a supplementary group for good. Does nothing if there is no such group, or if this process is no
 * member. 0 or negative errno. */
int privileges_leave_group(const char *name);

/* Gives up all capabilities, also for programs that are executed later. 0 or negative errno. */
int privileges_drop(void);
