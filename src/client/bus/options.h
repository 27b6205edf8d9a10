/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What callers of Send and OpenStream say about messages: a{sv}, docs/DBUS_API.md. */

#include "client/bus/manager.h"
#include "client/intake/bulk.h"

/* `stream`: those of OpenStream too. Strings point into the call. A wrong type or an unknown name is the
 * caller's mistake, named in `error`. */
int bus_read_send_options(sd_bus_message *call, bool stream, BulkOptions *ret, Error *error);
int bus_read_mode(const char *mode, SelectorMode *ret, Error *error); /* 0, or -EINVAL with a sentence */
