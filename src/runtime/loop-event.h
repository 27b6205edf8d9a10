/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The loop as sd-event: for this folder, and for a bus connection that attaches itself. sd-event's own
 * callbacks return 0: a negative number would silently disable their source. */

#include <systemd/sd-event.h>

#include "runtime/loop.h"

sd_event *loop_event(Loop *l);
