/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What became of each try. One that ended well stands in the delivery itself; the others are kept beside it,
 * and go to the disk with the message's next save. */

#include "client/state/message.h"

/* A step of the delivery: notes the try that it ends, if it ends one. */
void attempts_note(
                Message *m, DeliveryState before, DeliveryEvent event, uint32_t attempt, const char *detail);

/* For a save: takes what is not on disk yet; gives it back when it could not be written. */
OutboxAttempt *attempts_take(Message *m);
void attempts_give_back(Message *m, OutboxAttempt *attempts);
