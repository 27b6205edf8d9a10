/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The loop as sd-event: for this folder, and for a bus connection that attaches itself. sd-event's own
 * callbacks return 0: a negative number would silently disable their source. */

#include <systemd/sd-event.h>

#include "runtime/loop.h"
#include "runtime/watch-set.h"

sd_event *loop_event(Loop *l);
int loop_watch_set(Loop *l, WatchSet **ret); /* makes it, the first time; 0 or negative errno */
unsigned *loop_own_watches(Loop *l);         /* for runtime/watch to count in */
