/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.freedesktop.LogControl1, so that `systemctl service-log-level UNIT debug` works while the daemon runs.
 */

#include <systemd/sd-bus.h>

/* The object lives as long as the bus connection. `identifier` must, too. 0 or negative errno. */
int log_control_add(sd_bus *bus, const char *identifier);
