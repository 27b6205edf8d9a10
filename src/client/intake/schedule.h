/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages with a time of their own: a start that has not come, a deadline that will. They wait on disk,
 * however many; only when the first of them is next stands here. */

#include "client/state/types.h"

int schedule_init(Client *c);
void schedule_start(Client *c);                    /* everything is loaded */
void schedule_note(Client *c, uint64_t wake_usec); /* one more has a time (since the epoch; 0: none) */
