/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Subscribers to signals about messages. A signal costs as much as a call, and usually nobody listens. So
 * the client sends signals only while a subscriber is on the bus. systemd's manager does the same. */

#include "client/bus/bus.h"

void bus_subscribe_clear(ClientBus *b);
bool bus_has_subscribers(const ClientBus *b);
int bus_method_subscribe(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_method_unsubscribe(sd_bus_message *call, void *userdata, sd_bus_error *error);
