/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Receivers of plain text, which registered through the seed API. Each message has its own connection: the
 * client writes the payload and reads "ACK". The wire carries no message id, so delivery is at-least-once.
 */

#include "client/state/types.h"

/* True if no message uses the connection and no pause runs. Closes the connection of an attempt that timed
 * out. */
bool plain_is_free(Peer *p);
/* Connects to write the message; LinkEvents.written follows. Returns 0, -ENODATA (the payload is not in
 * memory) or another negative errno. */
int plain_write(Peer *p, Message *m);
void plain_release(Message *m); /* closes its connection, if it has one; without an event */
void plain_on_timeout(Peer *p); /* connecting takes too long */
