/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The receivers that this client knows: creates, lists and frees them. */

#include "client/state/types.h"

int peer_get(Client *c, sd_id128_t id, Peer **ret); /* finds or creates it; 0 or negative errno */

/* It was listed before this start, but had left. Takes over the contents of `info`. */
void peer_remember(Peer *p, ReceiverInfo *info);

/* What peer_list() changed. */
typedef enum PeerChange {
        PEER_CAME = 1 << 0,    /* it is newly listed */
        PEER_CHANGED = 1 << 1, /* its description changed */
} PeerChange;

/* Discovery lists it with this description. Takes over the contents of `info`. Returns bits of PeerChange.
 */
unsigned peer_list(Peer *p, ReceiverInfo *info);
bool peer_unlist(Peer *p); /* discovery lists it no more; returns true if it was listed before */

void peer_release(Peer *p); /* frees it if nothing needs it; its name may be needed as long as it has it */
void peers_forget(
                Client *c); /* keeps at most DEPARTED_MAX departed receivers; frees those that left first */
void peers_clear(Client *c);
