/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Control groups (version 2) below the one of this process, if the service manager has delegated that one
 * (Delegate= of the unit). Whatever a process in such a group starts is in it too. */

#include <sys/types.h>

#include "base/macro.h"

/* Opens the directory of the own control group. Its descriptor, -ENOENT: it is not delegated, or another
 * negative errno. */
int control_group_open_own(void);

#define CONTROL_GROUP_NAME_MAX 32u
/* The name of a handler's group. Returns `ret`. */
const char *control_group_name(unsigned number, char ret[static CONTROL_GROUP_NAME_MAX]);

/* Makes the group, or takes it as it is. Returns the descriptor of its directory, or negative errno. */
int control_group_make(int own_fd, const char *name);
/* With the groups below it, if no process is in them. */
void control_group_remove(int own_fd, const char *name);
/* True: its processes have made groups below it. */
bool control_group_is_divided(int fd);

/* True: this works in a group that is made for it. */
bool control_group_try(int own_fd, bool (*works)(int fd));

/* Whether clone3() can start processes in a group. RestrictNamespaces= forbids it, and Linux 6.14 kills such
 * a process at once if all of the own group was ever killed, and then used again. Waits for a child. */
bool control_group_can_clone(int fd);

/* As fork(), but the child is in the group from its beginning. Without clone3() that takes the kernel some
 * milliseconds, and the child is not in the group if that has been removed. Only for a process with one
 * thread. -1: none (errno; other than EAGAIN and ENOMEM if the group is in the way). */
pid_t control_group_fork(int fd, bool can_clone);

void control_group_kill(int fd);
/* A descriptor that poll(2) reports with POLLPRI when the group gets its first process or loses its last
 * one, or negative errno. */
int control_group_watch(int fd);
/* `watch_fd` is from control_group_watch(). True: a process of the group is alive. */
bool control_group_is_populated(int watch_fd);
bool control_group_is_frozen(int watch_fd); /* so a process in it does not begin */
