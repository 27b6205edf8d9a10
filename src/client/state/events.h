/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is told of a step of a delivery, to the observer and in the list of attempts. */

#include "client/state/types.h"
#include "model/message-event.h"

/* The message has taken this step, and is not at its end. A MessageEvent, or -1: nothing is told. */
int event_of_step(const Message *m, DeliveryEvent step);
/* The message is at its end. */
MessageEvent event_of_end(const Message *m);
/* How the attempt ended that was on the wire. A MessageEvent, or -1: it goes on, or ended well. */
int event_of_attempt(DeliveryEvent step);
