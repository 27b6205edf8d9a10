/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Calls about one message, whose id, or the beginning of it, is their first argument. */

#include "client/bus/bus.h"

/* The message is pinned while this runs. It answers `call` itself, now or later (then it holds a reference);
 * a negative return is answered for it. The next argument to be read is the second. */
typedef int (*BusFound)(ClientBus *b, Message *m, sd_bus_message *call);

/* Returns what a method returns. `found` may be called before this returns. When the message is not found,
 * this answers. */
int bus_look_up(ClientBus *b, sd_bus_message *call, BusFound found);
