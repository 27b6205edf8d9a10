/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How each attempt ended. A successful one is in the delivery itself. The others are kept beside it, and go
 * to disk with the next save of the message. */

#include "client/state/types.h"

/* A step of the delivery: notes the attempt that it ends, if it ends one. */
void attempts_note(
                Message *m, DeliveryState before, DeliveryEvent event, uint32_t attempt, const char *detail);

/* For a save: takes what is not on disk yet; gives it back when it could not be written. */
OutboxAttempt *attempts_take(Message *m);
void attempts_give_back(Message *m, OutboxAttempt *attempts);
