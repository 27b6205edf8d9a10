/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The pause after "busy". A receiver that has refused one message would refuse the next one, too. So nothing
 * is sent to it until it sends CREDIT, until it answers another message, or until the pause is over. Then
 * one message goes as a probe; the others follow when it was taken. Each refused probe makes the next pause
 * longer. */

#include "client/state/types.h"

int pause_init(Peer *p); /* 0 or negative errno */
void pause_clear(Peer *p);

/* The receiver answered busy; it wants to be left alone for `at_least_usec`. Does nothing during a pause:
 * that answer belongs to the same round. LinkEvents.room follows at the end of the pause. */
void pause_begin(Peer *p, uint64_t at_least_usec);
/* It offers room by CREDIT: a probe may go. A little later if it has refused a probe before: one that offers
 * and refuses for ever must not be asked for ever. */
void pause_offered(Peer *p);
void pause_end(Peer *p);    /* it has room: a probe may go */
void pause_forget(Peer *p); /* it took the probe, or its connection ended: everything may go */
/* It answered the message, or has begun it: not with "busy". `over`: the message takes no place any more. */
void pause_answered(Peer *p, const Message *m, bool over);
