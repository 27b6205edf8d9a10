/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Drives each message along model/delivery: what happens to it goes in here as an event; what follows
 * (timers, bindings, saves, frames) is done from here. */

#include "client/link/peers.h"

void deliver_event(Message *m, DeliveryEvent event, const char *detail);
void deliver_answer(Peer *p, const AnswerFrame *a);
void deliver_too_large(Message *m, uint32_t limit);
void deliver_unreadable(
                Message *m, int r); /* its payload: again later, or dead when it is not there any more */
void deliver_settled(Message *m);   /* its end is on disk */
int deliver_cancel(Message *m);     /* 0 (see message_saved), or -EALREADY when it is final */
void deliver_give_up(Message *m, const char *why); /* out of time: to the dead letters, if nothing runs */
void deliver_start(Message *m);                    /* a delayed one: its time has come */
/* A dead letter is tried again: 0, -EALREADY when it is none, -EBUSY while its end is being written, -ENOENT
 * when it is being purged, -ENOMEM. */
int deliver_revive(Message *m);

void deliver_loaded(Peer *p); /* what was bound to it at the last stop is in memory */
void deliver_connected(Peer *p);
void deliver_disconnected(Peer *p); /* or could not be connected to */
void deliver_credit(Peer *p);
void deliver_move_on(Peer *p); /* what need not stay with it goes to another one */

void deliver_on_due(void *userdata); /* Client: the first timer of the heap */
