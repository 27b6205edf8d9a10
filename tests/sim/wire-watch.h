/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Turns what net_tap() shows into observations of frames. Frames may be cut anywhere: a frame is observed
 * when its last byte is written, and again when its last byte is read. */

#include "world/net.h"

typedef struct WireWatch WireWatch;

/* Taps the network; one at a time. */
WireWatch *wire_watch_new(void);
WireWatch *wire_watch_free(WireWatch *w);
