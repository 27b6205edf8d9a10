/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A child that shares the memory of its parent until it executes a program, as after vfork(2): nothing is
 * copied. The parent stands still meanwhile. Only for runtime/warden-process.c. */

#include <sys/types.h>

#include "base/macro.h"

/* `group_fd`: the child is in this control group from its beginning; -1: in that of its parent. */

/* False: sanitizers keep books in memory; or in a group, the kernel forbids it (RestrictNamespaces= of the
 * unit), or keeps a second stack for returns that both would use. Waits for a child that tries it. */
bool spawn_can_share(int group_fd);

/* `run` must execute a program, or call _exit(). It may write only to what the parent does not read. Returns
 * the number of the child; -1: none (errno). */
pid_t spawn_sharing(int group_fd, void (*run)(void *userdata), void *userdata);
