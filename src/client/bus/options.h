/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads the options of Send and OpenStream, an a{sv}. docs/DBUS_API.md explains them. */

#include <systemd/sd-bus.h>

#include "client/intake/bulk.h"

/* `stream`: accept the options that only OpenStream has, too. The strings in `ret` point into the call.
 * Returns -EINVAL, with a sentence in `error`, for an unknown option, a wrong type or a wrong value. */
int bus_read_send_options(sd_bus_message *call, bool stream, BulkOptions *ret, Error *error);
int bus_read_mode(const char *mode, SelectorMode *ret,
                Error *error); /* 0, or -EINVAL with a sentence in `error` */
