/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/follow.h"

/* Sends one message with the options of the command line. `mode` and `target` are arguments of the method
 * Send. With `f` it then waits until the message is final; with NULL as `f` it prints the id. Returns an
 * exit code. */
int send_payload(Ctl *c, Follow *f, const char *mode, const char *target, const void *payload, size_t size);
