/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

/* Appends what was said of how to send, as the last argument of Send; or, where `stream_mode` is given, of
 * OpenStream. 0, an exit code, or a negative errno. */
int send_append_options(const Ctl *c, sd_bus_message *call, const char *stream_mode, const char *target);

/* Sends, and looks at the message to its end unless --no-wait. `mode` and `target` as the method takes them.
 * Returns an exit code. */
int send_payload(Ctl *c, const char *mode, const char *target, const void *payload, size_t size);
