/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

/* Sends every line of --file or standard input as a message of its own, through a stream, and counts what
 * becomes of them; with --no-wait until all are accepted. Memory is bounded, whatever the input. Returns an
 * exit code. */
int lines_send(Ctl *c, const char *mode, const char *target);
