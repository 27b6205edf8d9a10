/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

#include "ctl/ctl.h"

/* Prints the table of messages; --limit and --all set the number. Returns an exit code. */
int messages_print(Ctl *c);

/* Calls a manager method for each id. Stops early if the other calls would fail in the same way. `ids` ends
 * with NULL. *ret_done (may be NULL) counts the successful calls. Returns the last exit code that is not
 * EXIT_OK, or EXIT_OK. */
int messages_call_each(Ctl *c, const char *method, const char *const *ids, unsigned *ret_done);
