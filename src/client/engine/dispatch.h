/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What comes from below: connections (LinkEvents), writes that are synced (Client.saved), times that have
 * come. client.c wires these functions. */

#include "client/state/types.h"

extern const LinkEvents dispatch_link_events;
void dispatch_saved(Message *m, DeliveryState state, bool was_binding);
void dispatch_due(void *userdata); /* Client: the first time of `due` has come */

void dispatch_move_on(Peer *p); /* what need not stay with this receiver goes to another one */
void dispatch_loaded(Peer *p);  /* what was bound to it at the last stop is in memory */
