/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages that wait for their start, and those with a deadline. All of them are on disk; in memory is only
 * when the first one is next. */

#include "client/state/types.h"

int schedule_init(Client *c);
void schedule_start(Client *c);                    /* everything is loaded */
void schedule_note(Client *c, uint64_t wake_usec); /* since the epoch; 0: it has no time */
