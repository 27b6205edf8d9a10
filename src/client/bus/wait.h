/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Calls that are answered when something has happened to a message: it is at its end, or what it is now is
 * on disk. Such a call ends with its message, its timeout, or its caller. */

#include "client/bus/bus.h"

int bus_wait_init(ClientBus *b);
void bus_wait_clear(ClientBus *b); /* answers the calls that wait */
int bus_method_wait(sd_bus_message *call, void *userdata, sd_bus_error *error);

/* Answers `call` when what `m` is now is on disk. What a method returns. */
int bus_wait_saved(ClientBus *b, Message *m, sd_bus_message *call);
int bus_wait_cancelled(ClientBus *b, Message *m, sd_bus_message *call); /* the same, and cancels it first */

/* Something happened to it. `saved`: what it was when it last changed is on disk. */
void bus_wait_check(ClientBus *b, Message *m, bool saved);
