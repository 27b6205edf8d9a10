/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The framed connection of a peer: connecting, greeting, frames in both directions. It tries the addresses
 * in order. It trusts a receiver only after WELCOME names the right one. It reports events through
 * LinkEvents and calls nothing else of the floors above. */

#include "client/state/types.h"

#define CONNECTION_OUTPUT_MAX (1u << 20) /* bytes of output; beyond this no message is added */

void peer_link_init(Peer *p);
/* Connects, unless it is connected or a pause after a failure runs. If it cannot reach any address,
 * LinkEvents.down follows from the loop. */
void peer_connect(Peer *p);
void peer_disconnect(Peer *p);        /* without an event */
void peer_connection_failed(Peer *p); /* starts the pause; LinkEvents.idle follows at its end */
void peer_reset_failures(Peer *p);    /* ends the pause */
void peer_set_problem(Peer *p, int error, const char *closed); /* `closed`: text for error 0 */
/* Opens the connection to one of its addresses. 0 or negative errno. */
int peer_open(Peer *p, size_t address, const ConnectionCallbacks *callbacks);
void peer_connection_timeout(Peer *p);
void peer_check(Peer *p); /* ends the connection if the receiver does not answer any more */

bool peer_has_room(const Peer *p); /* its credit and its output buffer allow another message */
/* Adds the message to the output. Returns 0, -EMSGSIZE (too large for the receiver), -ENODATA (the payload
 * is not in memory) or -EAGAIN (out of memory). Call peer_flush() after the last message. */
int peer_write(Peer *p, Message *m);
void peer_flush(Peer *p);
void peer_write_cancel(Peer *p, Message *m); /* asks for the outcome; does nothing while not connected */
