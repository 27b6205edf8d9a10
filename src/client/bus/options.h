/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The options of Send and OpenStream, an a{sv}; docs/DBUS_API.md says what they mean. */

#include <systemd/sd-bus.h>

#include "client/intake/bulk.h"

/* `stream`: OpenStream's own options too. Strings point into the call. -EINVAL with a sentence: an unknown
 * option, or a wrong type or value. */
int bus_read_send_options(sd_bus_message *call, bool stream, BulkOptions *ret, Error *error);
int bus_read_mode(const char *mode, SelectorMode *ret, Error *error); /* 0, or -EINVAL with a sentence */
