/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

/* The dialogue on a terminal: choose a receiver, type a message, see it acked; again. Returns an exit code.
 */
int ctl_interactive(Ctl *c);
