/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One receiver, as this client sees it, and the one connection to it. It connects when there is something to
 * say, tries the addresses in their order, and believes nobody before WELCOME names the right receiver. */

#include "client/client.h"
#include "runtime/connection.h"
#include "wire/frame.h"

typedef enum PeerState {
        PEER_IDLE,       /* no connection; the timer, if armed, ends a pause after a failure */
        PEER_CONNECTING, /* and greeting: the timer limits how long */
        PEER_CONNECTED,
} PeerState;

struct Peer {
        Client *client;
        ReceiverInfo info;    /* only the id is sure to be there */
        sd_id128_t stream_id; /* of this start, to it alone: so it can be forgotten and known again; the
                                 newest */
        bool listed;          /* discovery's last list has it */
        PeerState state;
        bool full;       /* the window of its stream is used up: nothing more is bound to it */
        bool sought;     /* a key may wait for it: it is new, or had no room for one */
        bool missed;     /* the last try to reach it failed, at every address */
        bool leaving;    /* it said GOODBYE */
        bool restarting; /* and that it comes back at once */
        Connection *stream;
        uint64_t n_closed; /* connections that were; the next one may well have its stream at the same place
                            */
        size_t address;    /* being tried */
        unsigned failures; /* in a row */
        Timer timer;
        uint32_t credit, window, max_payload;
        uint32_t in_flight; /* messages written and unanswered on this connection */
        Message *bound;     /* in order of binding */
        size_t n_bound;
        Index members;  /* those of them that belong to a whole, by id */
        Message *ready; /* those of them that can be written now */
        Ledger *ledgers;
        Queue *queue;        /* of the messages for it alone; NULL: there were none */
        Message *speaking;   /* bare text: whose connection this is */
        char *problem;       /* why the last connection failed */
        uint64_t generation; /* of the list that it was in */
        uint64_t left;       /* counts who has left, in order; 0: it was not there since our start */
        uint64_t turn;       /* when it was last chosen for an `any` message */
        Peer *connected_prev, *connected_next;
        UT_hash_handle hh, hh_name;
};

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
