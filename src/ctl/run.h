/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

/* Does what the command line says, from connecting to the bus to the exit code. Only the fields of the
 * terminal are set in *c before; afterwards it holds nothing that is to be freed. */
int ctl_run(Ctl *c, int argc, char **argv);
