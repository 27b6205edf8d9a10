/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who wants signals about messages. A signal costs as much as a call, and mostly nobody listens. So, as with
 * systemd's manager, they are sent only while somebody has subscribed and is still on the bus. */

#include "client/bus/bus.h"

int bus_subscribe_init(ClientBus *b);
void bus_subscribe_clear(ClientBus *b);
bool bus_has_subscribers(const ClientBus *b);
int bus_method_subscribe(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_method_unsubscribe(sd_bus_message *call, void *userdata, sd_bus_error *error);
