/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Waits for a client that the bus starts. The bus itself does not say that its unit has failed: a caller
 * would wait for half a minute. */

#include "ctl/ctl.h"

/* Asks the client on c->bus whether it is there, which starts it. Sets `error` if it does not answer: that
 * of the bus, or UNIT_FAILED if its unit has failed meanwhile. */
void unit_ping(Ctl *c, sd_bus_error *error);

#define UNIT_FAILED "org.ackgroup.Error.UnitFailed"
