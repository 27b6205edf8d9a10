/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

/* Sends, and looks at the message to its end unless --no-wait. `mode` and `target` as the method takes them.
 * Returns an exit code. */
int send_payload(Ctl *c, const char *mode, const char *target, const void *payload, size_t size);
