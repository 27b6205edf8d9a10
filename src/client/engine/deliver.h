/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Drives one delivery along model/delivery: an event goes in; what follows from the step (timers, bindings,
 * saves, frames) is done here. Messages to several receivers: engine/fanout. */

#include "client/state/types.h"

void deliver_event(Message *m, DeliveryEvent event, const char *detail); /* `detail` may be NULL */
void deliver_answer(Message *m, const AnswerFrame *a);
void deliver_too_large(Message *m, uint32_t limit);
/* Its payload cannot be read: read again later, or a dead letter when it is not there any more. */
void deliver_unreadable(Message *m, int r);
void deliver_settled(Message *m); /* its end is on disk */

/* It may get another receiver: this one has not started it, or is gone. */
bool deliver_may_move(const Message *m);

/* What people want of one delivery. */
void deliver_cancel(Message *m);                   /* nothing when it is final */
void deliver_give_up(Message *m, const char *why); /* a dead letter, if nothing runs; nothing when it ends */
void deliver_start(Message *m);                    /* a delayed one: its time has come */
int deliver_revive(Message *m);                    /* of a dead letter; 0 or -ENOMEM */
