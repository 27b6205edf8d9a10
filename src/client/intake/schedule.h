/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Delayed messages, and messages with a deadline. All of them are on disk. Memory holds only the earliest
 * time. */

#include "client/state/types.h"

int schedule_init(Client *c);
void schedule_start(Client *c);                    /* all messages are loaded */
void schedule_note(Client *c, uint64_t wake_usec); /* since the epoch; 0: no time */
