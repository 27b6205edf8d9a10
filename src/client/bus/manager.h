/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.ackgroup.Client1. How to use it:
 *
 *   ClientBus bus = {.client = &client, .system = …};
 *   client_start(&client, &observer, …)   with client_bus_observer(&bus)
 *   client_bus_open(&bus, …)
 *   …
 *   client_stop(&client)                  what is on its way to the disk is still answered on the bus
 *   client_bus_clear(&bus)
 *   client_clear(&client) */

#include "client/bus/bus.h"

ClientObserver client_bus_observer(ClientBus *b);

int client_bus_open(ClientBus *b, Error *error);
/* The same on a connection that is made already, which `b` takes over. */
int client_bus_attach(ClientBus *b, sd_bus *bus);
/* Answers all calls that still wait, and closes the connection. */
void client_bus_clear(ClientBus *b);
