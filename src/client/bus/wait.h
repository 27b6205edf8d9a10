/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Calls that get their reply later: when a message is final, or when its present state is on disk. Such a
 * call also ends when its timeout expires or its caller leaves the bus. */

#include "client/bus/bus.h"

int bus_wait_init(ClientBus *b);
void bus_wait_clear(ClientBus *b); /* replies to the waiting calls with an error */
int bus_method_wait(sd_bus_message *call, void *userdata, sd_bus_error *error);

/* Replies to `call` when the present state of `m` is on disk. Returns what an sd-bus method returns. */
int bus_wait_saved(ClientBus *b, Message *m, sd_bus_message *call);
/* Calls `done` instead: with 0, or with -ESHUTDOWN because the client stops. Returns 0 or -ENOMEM. */
int bus_wait_saved_then(ClientBus *b, Message *m, void (*done)(int r, void *userdata), void *userdata);
int bus_wait_cancelled(ClientBus *b, Message *m, sd_bus_message *call); /* cancels `m`, then does the same */

/* `m` has changed: replies to the calls whose condition is now true. `saved`: its last change is on disk. */
void bus_wait_check(ClientBus *b, Message *m, bool saved);
