/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Receivers as data: look-up by id or name, their state, and the messages that are bound to each. link/
 * creates and frees them, and has their connections. */

#include "client/state/types.h"

const char *peer_name(const Peer *p);
Peer *peer_find(Client *c, sd_id128_t id);
/* Who has this name, or had it last. The name is whole. NULL: nobody that is remembered. */
Peer *peer_find_holder(const Client *c, const char *name);
Peer *peer_of_selector(Client *c, const Selector *s); /* of mode to; NULL: it is not known */
/* Finds a receiver by id (a UUID) or by name. A name without "@host" is one of this host, or of a receiver
 * that has no host in its name. Prefers receivers that discovery lists; then those that it listed once.
 * Returns 0, -ENOENT, or -ENOTUNIQ (only other hosts have one). */
int peer_find_by_word(Client *c, const char *word, Peer **ret);
/* The sentence for both of these results; with the names on other hosts. */
void peer_tell_unknown(const Client *c, const char *word, Error *error);

/* The receiver to which the message is bound, or for which alone it waits; NULL: there is none. */
const Peer *message_peer(const Message *m);

bool peer_may_be_chosen(const Peer *p); /* for a message that may also go to others */
/* True if discovery does not list it and the last try to reach it failed. One of the two alone is no proof:
 * a restarted discovery may have lost it, and a connection may come back. */
bool peer_is_gone(const Peer *p);
bool peer_is_connected(const Peer *p); /* and the greeting is done, so it can be written to */
bool peer_is_pausing(const Peer *p);   /* it answered busy, and nothing shows yet that it has room again */
/* How many more messages may be bound to it now, if they may also go to others. */
uint32_t peer_free_credit(const Peer *p);
bool peer_may_be_sent(const Peer *p); /* its credit permits one more message */
/* It takes less than when its messages were bound: those that were not written yet may go elsewhere. */
bool peer_is_overfull(const Peer *p);
bool peer_takes_now(const Peer *p);      /* one that is bound to it and was not written yet */
bool peer_may_be_pressed(const Peer *p); /* a message that is more urgent than `ready` may be bound beyond
                                            the credit */
void peer_note_state(const Message *m, DeliveryState before); /* the state of the delivery has changed */
const char *peer_state_name(const Peer *p); /* offline, draining, connected, unreachable, idle */

/* After one second everything goes on as if it had room: there was no memory to bind or to write. */
void peer_try_again(Peer *p);

/* A message there has ended. At the end of the iteration everything goes on that waits for room: once for
 * all that end together. */
void peer_note_room(Peer *p);

int peer_bind(Peer *p, Message *m);                       /* 0 or -ENOMEM */
void peer_unbind(Message *m);                             /* takes it out of every list of its peer */
Message *peer_find_message(const Peer *p, sd_id128_t id); /* a message bound to it; NULL: none */

void peer_ready(Message *m);   /* it can be written: adds it to the list, unless its payload is being read */
void peer_unready(Message *m); /* removes it from the list, if it is there */
void peer_reorder(
                Peer *p); /* the connection ended: lists all messages to write again, in order of binding */
/* It was written to the connection. `end`: the place behind its frame, in all bytes of the connection. */
void peer_sent(Message *m, uint64_t end);
/* The connection has ended. If the frame has not left the output as a whole, this was no send. */
void peer_unsent(Message *m);
void peer_answered(Message *m);      /* it uses no credit any more */
void peer_fetches(Message *m);       /* its payload is being read: a place is kept free for it */
void peer_fetched(Message *m);       /* it is not any more */
void peer_attempt_ended(Message *m); /* the present attempt is counted */
void peer_not_started(Message *m);   /* the receiver says so, and there was only one send */
