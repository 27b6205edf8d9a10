/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Receivers as values: found by id or name, what is known of them, and which messages are bound to each.
 * Making and forgetting them, and their connections, are in link/. */

#include "client/state/types.h"

const char *peer_name(const Peer *p);
Peer *peer_find(Client *c, sd_id128_t id);
/* By id (a UUID) or name, also a name without its "@host"; the listed ones first. 0, -ENOENT, or -ENOTUNIQ.
 */
int peer_find_by_word(Client *c, const char *word, Peer **ret);

bool peer_may_be_chosen(const Peer *p); /* for a message that may go elsewhere */
/* Not listed, and the last try to reach it failed. One of both alone is no proof: a discovery that was
 * restarted may have lost it, and a connection may come back. */
bool peer_is_gone(const Peer *p);
bool peer_is_connected(const Peer *p); /* and may be written to */
/* How many more messages it may get bound now, for a message that may go anywhere. */
uint32_t peer_free_credit(const Peer *p);
const char *peer_state_name(const Peer *p); /* draining, connected, unreachable, idle */

int peer_bind(Peer *p, Message *m);                       /* 0 or -ENOMEM */
void peer_unbind(Message *m);                             /* takes it out of every list of its peer */
Message *peer_find_message(const Peer *p, sd_id128_t id); /* bound to it; or NULL */

void peer_ready(Message *m);       /* it can be written: into the list, unless its payload is being read */
void peer_unready(Message *m);     /* out of the list, if it is there */
void peer_reorder(Peer *p);        /* ready ones again in order of binding: nothing is written any more */
void peer_sent(Message *m);        /* it is on the wire */
void peer_answered(Message *m);    /* it counts no more against the credit */
void peer_not_started(Message *m); /* the receiver says so about the only send there was */
