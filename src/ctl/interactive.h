/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

/* The dialogue on a terminal. The user chooses a receiver, types a message and sees the result, as often as
 * wanted. Returns an exit code. */
int ctl_interactive(Ctl *c);
