/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Methods that accept messages. */

#include "client/bus/bus.h"

int bus_method_send(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_method_send_text(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_method_open_stream(sd_bus_message *call, void *userdata, sd_bus_error *error);
