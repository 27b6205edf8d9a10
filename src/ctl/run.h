/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

/* Runs the command line, from the connection to the bus to the exit code, which it returns. The caller sets
 * only the terminal fields of *c. Afterwards the caller has nothing to free. */
int ctl_run(Ctl *c, int argc, char **argv);
