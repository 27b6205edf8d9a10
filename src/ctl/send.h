/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/follow.h"

/* Sends one message, with the options of the command line. `mode` and `target` as the method Send takes
 * them. Then waits for its end with `f`, or, where `f` is NULL, prints the id. Returns an exit code. */
int send_payload(Ctl *c, Follow *f, const char *mode, const char *target, const void *payload, size_t size);
