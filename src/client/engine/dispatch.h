/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Handles events from the floors below: connections (LinkEvents), finished writes (Client.saved) and expired
 * timers. client.c sets these functions as callbacks. */

#include "client/state/types.h"

extern const LinkEvents dispatch_link_events;
void dispatch_saved(Message *m, DeliveryState before, bool was_binding);
void dispatch_due(void *userdata); /* `userdata`: the Client. The first time in `due` has come */

void dispatch_bound(Message *m); /* its binding is on disk */
void dispatch_renamed(Peer *p);  /* messages to its old name that were never sent wait for that name */
void dispatch_move_on(Peer *p);  /* messages that need not stay with this receiver go to another one */
void dispatch_loaded(Peer *p);   /* at start: the messages bound to it are in memory */
