/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Methods that list where a message goes: one delivery, or one for each member. */

#include "client/bus/bus.h"

int bus_method_list_deliveries(sd_bus_message *call, void *userdata, sd_bus_error *error); /* all at once */
int bus_method_find_deliveries(sd_bus_message *call, void *userdata, sd_bus_error *error); /* a page */
