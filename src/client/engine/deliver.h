/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Drives one delivery through the states of model/delivery. Each event causes a step, and this file does the
 * actions of the step: timers, bindings, saves, frames. engine/fanout handles messages to several receivers.
 */

#include "client/state/types.h"

void deliver_event(Message *m, DeliveryEvent event, const char *detail); /* `detail` may be NULL */
void deliver_answer(Message *m, const AnswerFrame *a);
void deliver_too_large(Message *m, uint32_t limit);
/* The client cannot read the payload; `r` is the error. Tries again later. If the payload is gone, the
 * message becomes a dead letter. */
void deliver_unreadable(Message *m, int r);
void deliver_settled(Message *m); /* its end is on disk */
/* It is ending: asks its receiver, if the wish to end it is on disk, and waits for the answer. */
void deliver_ask(Message *m);
void deliver_ending_saved(Message *m); /* the wish to end it is on disk now */

/* True if the message may go to another receiver: the present one has not started it, or is gone. One to a
 * name: it was not sent, and that receiver cannot take it now, or has lost the name. */
bool deliver_may_move(const Message *m);
bool deliver_may_be_given_back(const Message *m); /* to its queue, to wait there with the others */

/* Requests about one delivery, from people or from the clock. */
void deliver_cancel(Message *m);                   /* does nothing if it is final */
void deliver_give_up(Message *m, const char *why); /* makes it a dead letter unless an attempt runs; does
                                                      nothing if it is ending or final */
void deliver_start(Message *m);                    /* the start time of a delayed message has come */
int deliver_revive(Message *m);                    /* queues a dead letter again; 0 or -ENOMEM */
