/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Methods that change a message: Cancel, Retry and Purge. */

#include "client/bus/bus.h"

int bus_method_cancel(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_method_retry(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_method_purge(sd_bus_message *call, void *userdata, sd_bus_error *error);
