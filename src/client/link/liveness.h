/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Finds a receiver that is connected and does not answer, such as one that is frozen: its kernel takes
 * bytes, the process does not. While a message is unanswered, a receiver must send something within the ack
 * timeout, or take output that it had left for half of that time. After the first half of that time in
 * silence, PING asks for it. */

#include "client/state/types.h"

/* If a timer is later than this, it was this process that stood still (for example, the machine was
 * suspended): what came meanwhile is unread. */
#define HELD_UP_USEC (200 * USEC_PER_MSEC)

void liveness_heard(Peer *p); /* bytes came */
void liveness_watch(Peer *p); /* something was written that the receiver must answer */
void liveness_stop(Peer *p);  /* the connection is over */
/* The timer of the peer is due. False: the receiver does not answer. */
bool liveness_check(Peer *p);
