/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A child that shares the memory of its parent until it executes a program, as after vfork(2): nothing is
 * copied. The parent stands still meanwhile. Only for runtime/warden-process.c. */

#include <sys/types.h>

#include "base/macro.h"

/* False: sanitizers keep books on the stack, which both use. */
bool spawn_can_share(void);

/* `run` must execute a program, or call _exit(). It may write only to what the parent does not read.
 * `group_fd`: the child is in this control group from its beginning, as after control_group_fork() with
 * can_clone; -1: in that of its parent. Returns the number of the child; -1: none (errno). */
pid_t spawn_sharing(int group_fd, void (*run)(void *userdata), void *userdata);
