/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The outcome of each attempt. The delivery itself records a successful attempt. This list holds the others
 * until the next save of the message writes them to disk. */

#include "client/state/types.h"

/* Call it for each step of the delivery. If the step ends an attempt, this records its outcome. */
void attempts_note(
                Message *m, DeliveryState before, DeliveryEvent event, uint32_t attempt, const char *detail);

/* For a save: takes the attempts that are not on disk yet. If the write fails, give them back. */
OutboxAttempt *attempts_take(Message *m);
void attempts_give_back(Message *m, OutboxAttempt *attempts);
