/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.freedesktop.LogControl1: `systemctl service-log-level UNIT debug` on a running daemon. */

#include <systemd/sd-bus.h>

/* The slot belongs to the bus. 0 or negative errno. */
int log_control_add(sd_bus *bus, const char *identifier);
