/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Calls that are answered later: when a message is at its end, or when its present state is on disk. They
 * also end when their timeout is over or their caller leaves the bus. */

#include "client/bus/bus.h"

int bus_wait_init(ClientBus *b);
void bus_wait_clear(ClientBus *b); /* answers the calls that wait */
int bus_method_wait(sd_bus_message *call, void *userdata, sd_bus_error *error);

/* Answers `call` when the present state of `m` is on disk. Returns what a method returns. */
int bus_wait_saved(ClientBus *b, Message *m, sd_bus_message *call);
int bus_wait_cancelled(ClientBus *b, Message *m, sd_bus_message *call); /* the same, and cancels it first */

/* Something happened to `m`. `saved`: the state after its last change is on disk. */
void bus_wait_check(ClientBus *b, Message *m, bool saved);
