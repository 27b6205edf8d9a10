/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Receivers that registered by the seed API: one connection per message, bare text out, "ACK" in. There is
 * no identity on the wire, so this is at-least-once. */

#include "client/link/peers.h"

void plain_pump(Peer *p);       /* one message at a time */
void plain_on_timeout(Peer *p); /* it does not connect */
