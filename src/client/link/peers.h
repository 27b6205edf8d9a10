/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One receiver, as this client sees it, and the one connection to it. It connects when there is something to
 * say, tries the addresses in their order, and believes nobody before WELCOME names the right receiver. */

#include "client/state/types.h"
#include "runtime/connection.h"
#include "wire/frame.h"

const char *peer_name(const Peer *p);
Peer *peer_find(Client *c, sd_id128_t id);
int peer_get(Client *c, sd_id128_t id, Peer **ret); /* finds or makes it */
/* By id (a UUID) or name, also a name without its "@host"; the listed ones first. 0, -ENOENT, or -ENOTUNIQ.
 */
int peer_find_by_word(Client *c, const char *word, Peer **ret);

/* Discovery lists it like this; takes what `info` holds. / Discovery does not list it any more. */
void peer_list(Peer *p, ReceiverInfo *info);
void peer_unlist(Peer *p);
bool peer_may_be_chosen(const Peer *p); /* for a message that may go elsewhere */
/* Not listed, and the try to reach it failed. One of both alone is no proof: a discovery that was restarted
 * may have lost it, and a connection may come back. */
bool peer_is_gone(const Peer *p);
void peer_release(Peer *p);   /* frees it when nothing needs it */
void peers_forget(Client *c); /* those that left longest ago, beyond DEPARTED_MAX */

int peer_bind(Peer *p, Message *m);    /* puts it in the list of bound ones; 0 or -ENOMEM */
void peer_unbind(Peer *p, Message *m); /* takes it out of every list */
Message *peer_find_message(const Peer *p, sd_id128_t id); /* bound to it */
void peer_ready(Peer *p, Message *m);                     /* it can be written */
void peer_fetch(Peer *p, Message *m);    /* it is ready again when its payload is in memory */
void peer_answered(Peer *p, Message *m); /* it counts no more against the credit */
void peer_send_cancel(Peer *p, Message *m);
void peer_pump(Peer *p); /* connects, or writes what is ready, as far as credit goes */

bool peer_is_connected(const Peer *p); /* and may be written to */
/* How many more messages it may get bound now, for a message that may go anywhere. */
uint32_t peer_free_credit(const Peer *p);
const char *peer_state_name(const Peer *p); /* connected, idle, unreachable */

void peers_clear(Client *c);
