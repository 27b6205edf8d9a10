/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Methods that show one message in detail: its attempts, and why it is not done. */

#include "client/bus/bus.h"

int bus_method_list_attempts(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_method_explain(sd_bus_message *call, void *userdata, sd_bus_error *error);
