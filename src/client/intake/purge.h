/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Removes a message that is at its end, from the disk and from memory. */

#include "client/state/types.h"

/* Called once, from the loop: 0, -EBUSY (its end is not on disk), or what the disk said. */
typedef void (*PurgeDone)(int r, void *userdata);

/* 0; or -EALREADY (it is being purged), -EBUSY (it is not at its end), -ENOMEM: then `done` is not called.
 */
int message_purge(Message *m, PurgeDone done, void *userdata);
