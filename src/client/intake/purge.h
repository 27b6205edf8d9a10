/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Removes a final message from disk and from memory. */

#include "client/state/types.h"

/* Called once, from the loop. `r`: 0, -EBUSY (its end is not on disk), or an error of the disk. */
typedef void (*PurgeDone)(int r, void *userdata);

/* Returns 0, -EALREADY (a purge is in progress), -EBUSY (it is not final) or -ENOMEM. On failure it does not
 * call `done`. */
int message_purge(Message *m, PurgeDone done, void *userdata);
