/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

/* Sends each line of --file or of standard input as a separate message, through a stream, and counts the
 * outcomes. With --no-wait it ends when all lines are accepted. Its use of
 * memory is bounded for any input. Returns an exit code. */
int lines_send(Ctl *c, const char *mode, const char *target);
