/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shows long output page by page: with $SYSTEMD_PAGER, else $PAGER, else less. */

#include "ctl/ctl.h"

/* On a terminal and without --no-pager, what is printed from now on goes through a pager. Once; more calls
 * do nothing. */
void pager_open(Ctl *c);

/* Waits until the user has left the pager. Returns `code`, or EXIT_FAILED after printing that the pager
 * could not be run. A user who leaves it early does not want the rest of the output: that is no failure. */
int pager_close(Ctl *c, int code);
