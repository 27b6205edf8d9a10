/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Deliveries that wait for a time: ack timeouts and next attempts. engine/dispatch acts when the time comes.
 */

#include "client/state/types.h"

/* The timer calls `on_time`, with the client, when the earliest of all times has come. */
int due_init(Client *c, void (*on_time)(void *userdata));
void due_arm(Message *m, uint64_t usec); /* `usec` from now; replaces an earlier time */
void due_disarm(Message *m);
