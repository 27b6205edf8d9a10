/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The framed connection of a peer: connecting, greeting, frames in. */

#include "client/link/peers.h"

#define CONNECTION_OUTPUT_MAX (1u << 20) /* bytes waiting to be written, over which no message is added */

void peer_connect(Peer *p);    /* unless there is one, or a pause after a failure runs */
void peer_disconnect(Peer *p); /* without a word to anybody */
void peer_connection_failed(
                Peer *p); /* it failed: comes back after a while, if there is something to say by then */
void peer_on_timer(void *userdata); /* Peer */
