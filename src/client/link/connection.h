/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The framed connection of a peer: connecting, greeting, frames in both directions. It tries the addresses
 * in their order, and believes nobody before WELCOME names the right receiver. What happens is told through
 * LinkEvents; nothing here calls upward in any other way. */

#include "client/state/types.h"

#define CONNECTION_OUTPUT_MAX (1u << 20) /* bytes waiting to be written, over which no message is added */

void peer_link_init(Peer *p);
/* Unless it is connected or a pause after a failure runs. Where no address can be reached, LinkEvents.down
 * follows from the loop. */
void peer_connect(Peer *p);
void peer_disconnect(Peer *p);        /* without an event */
void peer_connection_failed(Peer *p); /* starts the pause; LinkEvents.idle comes at its end */
void peer_reset_failures(Peer *p);    /* ends the pause */
void peer_set_problem(Peer *p, int error, const char *closed); /* `closed`: what error 0 means */
/* Opens the connection to one of its addresses. 0 or negative errno. */
int peer_open(Peer *p, size_t address, const ConnectionCallbacks *callbacks);
void peer_connection_timeout(Peer *p);

bool peer_has_room(const Peer *p); /* as far as its credit and its output buffer allow */
/* Puts the message into the output. -EMSGSIZE: the receiver takes less; -ENODATA: the payload is not in
 * memory; -EAGAIN: no memory now. Behind the last one: peer_flush(). */
int peer_write(Peer *p, Message *m);
void peer_flush(Peer *p);
void peer_write_cancel(Peer *p, Message *m); /* asks what became of it; nothing while not connected */
