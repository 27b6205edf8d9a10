/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Checks whether a sender may change something. On a user's bus everybody may. On the system bus root, the
 * user of this service, and senders that polkit allows may. If polkit does not run, members of this
 * service's group may too. Nothing here blocks: the guard keeps a call until the bus and polkit have
 * answered. */

#include "client/bus/bus.h"

/* Calls `method` with the ClientBus if the sender may do org.ackgroup.client1.ACTION. Otherwise replies with
 * an error. Returns what an sd-bus method returns. */
int bus_guard(ClientBus *b, sd_bus_message *call, const char *action, sd_bus_message_handler_t method);
void bus_guard_clear(ClientBus *b); /* replies to the waiting calls with an error; nobody is trusted */
