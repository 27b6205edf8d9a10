/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The receivers that this client knows: made, listed, forgotten. Each connects when there is something to
 * say to it. */

#include "client/state/types.h"

int peer_get(Client *c, sd_id128_t id, Peer **ret); /* finds or makes it; 0 or negative errno */

void peer_describe(Peer *p, ReceiverInfo *info); /* what is known of it; takes what `info` holds */

/* What peer_list() changed. */
typedef enum PeerChange {
        PEER_CAME = 1 << 0,    /* it was not listed before */
        PEER_CHANGED = 1 << 1, /* what is known of it */
} PeerChange;

/* Discovery lists it like this; takes what `info` holds. Returns bits of PeerChange. */
unsigned peer_list(Peer *p, ReceiverInfo *info);
bool peer_unlist(Peer *p); /* discovery does not list it any more; true: it was listed before */

void peer_release(Peer *p);   /* frees it when nothing needs it */
void peers_forget(Client *c); /* frees those that left longest ago, beyond DEPARTED_MAX */
void peers_clear(Client *c);
