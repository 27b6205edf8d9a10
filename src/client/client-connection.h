/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The framed connection of a peer: connecting, greeting, frames in. */

#include "client/client-peer.h"

#define CONNECTION_OUTPUT_MAX (1u << 20) /* bytes waiting to be written, over which no message is added */

void connection_open(Peer *p);  /* unless there is one, or a pause after a failure runs */
void connection_close(Peer *p); /* without a word to anybody */
void connection_pause(
                Peer *p); /* it failed: comes back after a while, if there is something to say by then */
void connection_on_timer(void *userdata); /* Peer */
