/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The MessageEvent of a step, for the observer and for the list of attempts. */

#include "client/state/types.h"
#include "model/message-event.h"

/* The message has taken this step and is not final. Returns a MessageEvent; -1: nothing to report. */
int event_of_step(const Message *m, DeliveryEvent step);
/* The message is final. */
MessageEvent event_of_end(const Message *m);
/* The outcome of the attempt that this step ends. Returns a MessageEvent; -1: the attempt goes on or
 * succeeded.
 */
int event_of_attempt(DeliveryEvent step);
