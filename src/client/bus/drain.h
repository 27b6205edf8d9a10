/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The method that drains a receiver for maintenance, or resumes it. */

#include "client/bus/bus.h"

int bus_method_drain(sd_bus_message *call, void *userdata, sd_bus_error *error);
