/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How many messages a receiver takes beyond those that run. A queue hides the way of the next message from
 * its sender: that is worth much for handlers of microseconds, and nothing for long ones, where the message
 * would only wait behind one while another receiver is idle. So the queue holds as much as the handlers do
 * in DEPTH_USEC, at most Queue=. */

#include "receiver/configuration.h"

#define DEPTH_USEC      100000u /* of work in the queue */
#define DEPTH_GIVE_USEC 250000u /* what has not begun after so long is given back to its sender */

typedef struct Depth {
        uint64_t usec; /* how long a handler runs: a mean over the last ones; 0: not known */
        bool known;
        bool stuck; /* something was given back, and no handler has ended since */
} Depth;

void depth_ended(Depth *d, uint64_t usec); /* a handler has run for so long */
void depth_gave_back(Depth *d);
unsigned depth_capacity(const Depth *d, const ReceiverConfig *config); /* messages that run and that wait */
