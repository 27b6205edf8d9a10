/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Finds a message by the beginning of its id, in memory or on disk. */

#include "client/state/types.h"

/* `prefix`: 6 to 32 hex digits, or a UUID with dashes. `done` gets the only message whose id begins with it.
 * The message is pinned during that call. On failure `done` gets NULL with -ENOENT, -ENOTUNIQ (several),
 * -EINVAL (malformed prefix), -ENOMEM, -ESHUTDOWN or an error of the disk. `done` may run before this
 * function returns. */
void message_look_up(Client *c, const char *prefix, void (*done)(Message *m, int r, void *userdata),
                void *userdata);
