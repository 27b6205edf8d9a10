/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* RetryMany and PurgeMany: one page of messages with one call, and with as few syncs as that takes. */

#include "client/bus/bus.h"

int bus_method_retry_many(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_method_purge_many(sd_bus_message *call, void *userdata, sd_bus_error *error);
