/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Methods that list messages. */

#include "client/bus/bus.h"

int bus_method_list_messages(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_method_get_message(sd_bus_message *call, void *userdata, sd_bus_error *error);
