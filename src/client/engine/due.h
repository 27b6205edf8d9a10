/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Deliveries that wait for a time: ack timeouts and next attempts. What happens then is engine/dispatch's
 * part. */

#include "client/state/types.h"

/* `on_time` is called, with the client, when the first time of all has come. */
int due_init(Client *c, void (*on_time)(void *userdata));
void due_arm(Message *m, uint64_t usec); /* from now; replaces the time that it had */
void due_disarm(Message *m);
