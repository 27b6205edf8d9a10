/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Receivers that registered through the seed API: one connection for each message, its payload out, "ACK"
 * in. Nothing on the wire says which message is meant, so this is at-least-once. */

#include "client/state/types.h"

/* No message has the connection, and no pause runs. Closes the connection of an attempt that timed out. */
bool plain_is_free(Peer *p);
/* Connects to write the message; LinkEvents.written follows. -ENODATA: the payload is not in memory. */
int plain_write(Peer *p, Message *m);
void plain_release(Message *m); /* closes its connection, if it has one; without an event */
void plain_on_timeout(Peer *p); /* it does not connect */
