/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Methods that list receivers, sorted by name: all at once, or in pages. A page looks at every receiver, and
 * sorts its own. */

#include "client/bus/bus.h"

int bus_method_list_receivers(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_method_find_receivers(sd_bus_message *call, void *userdata, sd_bus_error *error);
