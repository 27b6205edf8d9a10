/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shows long output page by page, as systemctl does: with $SYSTEMD_PAGER, else $PAGER, else less. */

#include "ctl/ctl.h"

/* On a terminal and without --no-pager, what is printed from now on goes through a pager. Once; more calls
 * do nothing. */
void pager_open(Ctl *c);

/* Waits until the user has left the pager. Returns true if there was one: then the user may not have wanted
 * to see all of the output. */
bool pager_close(Ctl *c);
