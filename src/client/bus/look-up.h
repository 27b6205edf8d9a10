/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Finds the message of a call. The first argument of the call is the message's id or the beginning of it. */

#include "client/bus/bus.h"

/* The message is pinned while this function runs. The function replies to `call` now, or takes a reference
 * and replies later. If it returns a negative value, bus_look_up() replies with that error. The next
 * argument to read is the second one. */
typedef int (*BusFound)(ClientBus *b, Message *m, sd_bus_message *call);

/* Returns what an sd-bus method returns. May call `found` before it returns. If there is no such message, it
 * replies with an error. */
int bus_look_up(ClientBus *b, sd_bus_message *call, BusFound found);
