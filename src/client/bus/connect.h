/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The connection of org.ackgroup.Client1 to its bus. When it is lost, the client goes on without, and
 * connects again. Usage:
 *
 *   ClientBus bus = {.client = &client, .system = …};
 *   client_start(&client, &observer, …)   with client_bus_observer(&bus)
 *   client_bus_open(&bus, …)
 *   …
 *   client_stop(&client)                  writes that are in progress finish, and their calls get a reply
 *   client_bus_clear(&bus)
 *   client_clear(&client) */

#include "client/bus/bus.h"

ClientObserver client_bus_observer(ClientBus *b);

int client_bus_open(ClientBus *b, Error *error);
/* The same on an existing connection. `b` takes it over. */
int client_bus_attach(ClientBus *b, sd_bus *bus);
/* Replies to all waiting calls and closes the connection. */
void client_bus_clear(ClientBus *b);
