/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who may change something. On a user's bus: everybody. On the system bus: root, the user of this service,
 * and whom polkit allows. Where polkit does not run: also the group of this service. Nothing here blocks: a
 * call is kept until the bus and polkit have answered. */

#include "client/bus/bus.h"

/* Calls `method`, with the ClientBus, when the sender may do org.ackgroup.client1.ACTION; else answers that
 * it may not. Returns what a method returns. */
int bus_guard(ClientBus *b, sd_bus_message *call, const char *action, sd_bus_message_handler_t method);
void bus_guard_clear(ClientBus *b); /* answers the calls that wait */
