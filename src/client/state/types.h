/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The client's state: every struct of it. Whoever is above may read it. Each group of fields names the file
 * that writes it; no other file assigns to it. */

#include <uthash.h>

#include "base/buffer.h"
#include "base/hash-index.h"
#include "base/heap.h"
#include "base/random-pool.h"
#include "base/slab.h"
#include "client/state/config.h"
#include "client/state/retry.h"
#include "daemon/database.h"
#include "http/http-client.h"
#include "model/message-event.h"
#include "model/selector.h"
#include "model/sequence-set.h"
#include "runtime/connection.h"
#include "runtime/loop.h"
#include "runtime/service.h"
#include "runtime/timer.h"
#include "store/outbox.h"
#include "wire/frame.h"

typedef struct Bulk Bulk;
typedef struct Client Client;
typedef struct Fanout Fanout;
typedef struct Message Message;
typedef struct Peer Peer;
typedef struct Queue Queue;
typedef struct Resolver Resolver;
typedef struct SendWindow SendWindow;

typedef enum DiscoveryState {
        DISCOVERY_UNKNOWN, /* not asked yet */
        DISCOVERY_REACHABLE,
        DISCOVERY_UNREACHABLE,
        _DISCOVERY_STATE_MAX,
} DiscoveryState;

/* A message in memory. Of a million messages only those are here that are bound to a receiver, near the
 * front of their queue, among the newest, or looked at. The others are on disk only. */
struct Message {
        Client *client;
        OutboxRecord record; /* engine/, state/attempts, state/message; the states "sent" and "backoff" exist
                                in memory only */

        /* state/message */
        IndexItem by_key;
        Queue *queue;   /* of its selector; NULL once the message is final */
        void *payload;  /* NULL: on disk only */
        Fanout *fanout; /* of a message to several receivers: counts its members; else NULL */
        unsigned pins;
        bool announced; /* the observer knows it */
        bool recent;    /* in the list of the newest */
        Message *recent_prev, *recent_next;

        bool transient; /* state/transient: not on disk, unless it becomes a dead letter */
        bool quiet;     /* intake/submit: of a bulk submission; not announced, only failures are told */
        bool fetching;  /* engine/pump: its payload is being read */
        bool purging;   /* intake/purge: its removal is on its way to the disk */

        OutboxAttempt *attempts; /* state/attempts: attempts that are over and not on disk yet */

        /* engine/deliver */
        unsigned failures; /* in a row */
        char *progress;    /* "40 copying", as the handler said last; or NULL */
        HeapItem due;      /* ack timeout, or next attempt */

        /* engine/backlog: place in the list of its queue */
        struct {
                bool on;
                Message *prev, *next;
        } queued;

        /* engine/bind */
        struct {
                SendWindow *window; /* holds its sequence until its end is on disk; NULL for plain text */
                bool pending;       /* the binding is on its way to the disk */
        } bind;

        /* state/peer: place at its receiver */
        struct {
                Peer *peer; /* bound to; NULL before that, and once the message is final */
                Message *prev, *next;
                IndexItem by_member; /* of members, by id */
                bool ready;          /* in the list of what can be written */
                Message *ready_prev, *ready_next;
                bool in_flight; /* counts against the receiver's credit */
                unsigned sends; /* to the wire under this binding, as far as this process knows */
        } link;

        /* engine/save */
        struct {
                bool running;           /* intake/submit too: a write is on its way */
                bool again;             /* and is out of date already */
                RetryItem retry;        /* the disk refused it */
                SendWindow *old_window; /* of a binding that was given up, until that is on disk; or NULL */
                uint64_t old_sequence;
        } save;

        /* intake/bulk */
        struct {
                Bulk *program; /* waits for the end of this message; or NULL */
                uint64_t number;
                Message *prev, *next;
        } bulk;

        /* bus/ */
        struct {
                void *waiters;
                bool dirty; /* has changes that are not signalled yet */
                Message *prev, *next;
        } bus;
};

/* A message to several receivers has a message for the whole (member 0), which people see, and a delivery
 * for each member. engine/fanout writes it. */
struct Fanout {
        Message *message; /* state/message */
        unsigned need;    /* state/message, engine/fanout: acks of a quorum */
        unsigned n_members, n_acked, n_failed;
        bool reading;        /* engine/members: its members are being read */
        bool held;           /* open, so it stays in memory */
        Fanout *prev, *next; /* of those that take in who joins */
};

typedef struct Position {
        unsigned priority;
        uint64_t number;
} Position;

/* Messages of one selector that have no receiver yet: the more urgent ones first, then in order of
 * acceptance. The front is in memory, the rest on disk only. */
struct Queue {
        Client *client;

        /* state/queue */
        char *text;
        Selector selector;
        Queue *prev, *next; /* of mode any */
        UT_hash_handle hh, hh_receiver;
        size_t n_messages; /* state/message: in memory that belong to it, wherever they are */
        size_t n_bound;    /* state/peer: bound to a receiver */

        /* engine/backlog */
        Message *queued; /* the front, oldest first */
        size_t n_queued;
        uint64_t n_stored; /* queued on disk behind the front */
        Position read_to;  /* state/queue too: everything up to here is in memory; what is stored lies behind
                            */
        bool reading;
        RetryItem retry;           /* the next page could not be read */
        void (*on_read)(Queue *q); /* a page was read, or is to be read again */

        /* engine/bind */
        Peer *owner; /* link/peers too: of mode key: who gets its messages while there are any */
        bool stuck;  /* of mode key: in the list of those that nobody was found for */
        Queue *stuck_prev, *stuck_next;
};

/* The sequences of one stream to one receiver: which are settled, and what of it the receiver was told.
 * link/window writes it. */
struct SendWindow {
        Peer *peer;
        sd_id128_t stream;
        uint64_t next_sequence; /* 0: an older stream, which gets no new sequences */
        SequenceSet settled;
        size_t n_open;
        unsigned n_unannounced; /* settled, and not told to the receiver yet */
        bool keeping;           /* its row is on its way to the disk */
        bool kept;              /* on disk: the next start can close it */
        SendWindow *prev, *next;
};

typedef enum PeerState {
        PEER_IDLE,       /* no connection; the timer, if armed, ends a pause after a failure */
        PEER_CONNECTING, /* and greeting: the timer limits how long */
        PEER_CONNECTED,
} PeerState;

/* One receiver, as this client sees it, and the one connection to it. */
struct Peer {
        Client *client;

        /* link/peers */
        ReceiverInfo info; /* only the id is always known */
        bool listed;       /* discovery's last list has it */
        uint64_t left;     /* counts who has left, in order; 0: it was not there since the start */
        Timer timer;       /* armed by link/connection and link/plain */
        UT_hash_handle hh, hh_name;
        uint64_t generation; /* intake/resolve: of the list that it was in */

        /* engine/bind */
        uint64_t turn; /* when it was last chosen for a message to anybody */
        bool sought;   /* link/peers too: a key may wait for it, since it is new or had no room */

        /* state/peer */
        Message *bound; /* in order of binding */
        size_t n_bound;
        Index members;  /* those of them that are members, by id */
        Message *ready; /* those of them that can be written now: the more urgent ones first */

        /* link/window */
        sd_id128_t stream_id; /* of the newest stream, made anew at each start and for each receiver */
        SendWindow *windows;
        bool full; /* the newest window is used up: nothing more is bound */

        /* link/connection */
        struct {
                PeerState state;
                bool missed;     /* the last try to reach it failed, at every address */
                bool leaving;    /* it said GOODBYE */
                bool restarting; /* and that it comes back at once */
                Connection *connection;
                LoopWork down;     /* tells that no address could be reached */
                size_t address;    /* being tried */
                unsigned failures; /* in a row */
                char *problem;     /* why the last connection failed; or NULL */
                uint32_t credit, window, max_payload;
                uint32_t n_in_flight; /* state/peer: written and unanswered on this connection */
                Peer *prev, *next;    /* of the connected ones */
        } link;

        Message *plain; /* link/plain: whose connection this is */
};

/* What happens at a connection. Called from the loop, never from inside a call into link/. */
typedef struct LinkEvents {
        void (*up)(Peer *p);   /* it is connected */
        void (*down)(Peer *p); /* the connection ended, or no address could be reached */
        void (*answer)(Message *m, const AnswerFrame *a); /* to this binding and attempt */
        void (*room)(Peer *p);                            /* it can take more */
        void (*leaving)(Peer *p);                         /* it said GOODBYE */
        void (*written)(Peer *p); /* all output, or the plain text message `p->plain`, is with the kernel */
        void (*idle)(Peer *p);    /* a pause after a failure is over */
} LinkEvents;

/* Who wants to be told; every function must be there. message_event and message_changed may come from inside
 * a call that the observer made, the others come from the loop. */
typedef struct ClientObserver {
        void (*message_added)(Message *m, void *userdata);   /* it can be looked at from now on */
        void (*message_removed)(Message *m, void *userdata); /* it leaves memory; it may still be on disk */
        void (*message_changed)(Message *m, void *userdata);
        /* of members too: their id is the one of the message */
        void (*message_event)(Message *m, MessageEvent event, uint32_t attempt, const char *detail,
                        void *userdata);
        void (*message_saved)(
                        Message *m, void *userdata); /* what was true when it was last changed is synced */
        void (*receiver_listed)(const ReceiverInfo *info, bool listed, void *userdata);
        void (*changed)(void *userdata); /* the client's own numbers, or discovery's state */
        void *userdata;
} ClientObserver;

/* The root object. */
struct Client {
        /* client.c */
        ClientConfig config;
        Loop *loop;
        Service service;
        Db *db;
        Database database; /* `db` on the loop */
        HttpClient *http;
        Address discovery_address;
        ClientObserver observer;
        LinkEvents link;
        /* A write of the message is synced (engine/save). `state`: as it is on disk now. */
        void (*saved)(Message *m, DeliveryState state, bool was_binding);
        /* The message is at its end (engine/deliver). Not `durable`: acked, and that is not on disk yet. */
        void (*ended)(Message *m, bool durable);
        sd_id128_t id; /* of this client, for good */
        char host[NAME_MAX_LENGTH + 1];
        bool stopping;

        RandomPool random;
        Slab slab; /* of messages, their payloads, and what is under way to the disk about them */
        Retries retries;

        struct {
                Index index;     /* state/message: in memory, by id and member */
                Message *recent; /* state/message: the newest of them, oldest first */
                size_t n_recent;

                /* engine/, intake/, client.c */
                uint64_t last_number;
                uint64_t n_open;                /* accepted and not settled, on disk too */
                uint64_t n_dead;                /* rejected or dead, and kept until somebody decides */
                uint64_t n_settled, n_attempts; /* since the start */
        } messages;

        struct {
                Queue *by_text, *by_receiver, *any; /* state/queue */
                unsigned n_swept;    /* state/queue: at how many the next look for unused ones is due */
                Queue *stuck;        /* engine/bind, state/queue */
                size_t n_unassigned; /* engine/backlog: messages in memory that have no receiver yet */
        } queues;

        struct {
                Peer *by_id, *by_name; /* link/peers; by_name: the listed ones */
                uint64_t n_left;       /* link/peers: receivers that left, since the start */
                Peer *connected;       /* link/connection */
                uint64_t turn;         /* engine/bind: of choosing among equals */
        } peers;

        /* link/window */
        struct {
                Timer timer; /* announces settlements */
        } windows;

        /* engine/due, engine/dispatch: ack timeouts and next attempts */
        struct {
                Heap heap;
                Timer timer;
                uint64_t armed; /* for when; USEC_INFINITY: it is not */
                bool held;      /* what came while the process was held up is read first */
        } due;

        struct {
                Fanout *following;         /* engine/fanout, state/message: take in who joins */
                struct MembersPage *pages; /* engine/members: reads that are not done */
        } fanouts;

        struct {
                unsigned n_untrimmed; /* engine/save */
        } save;

        /* state/transient */
        struct {
                DbOp *first, **end; /* done without the disk, at the end of this iteration */
                size_t n_bytes;     /* of payloads that are in memory only */
        } transient;

        struct {
                size_t n_bytes; /* intake/submit: of payloads that are on their way to the disk */
        } submit;

        /* intake/schedule */
        struct {
                Timer timer;
                uint64_t next; /* since the epoch: when the first message has a time; USEC_INFINITY: none */
                bool reading;
        } schedule;

        /* intake/bulk */
        struct {
                Bulk *programs;
                size_t n_programs;
        } bulk;

        struct Drain *drains; /* intake/drain: that discovery has not answered */

        Resolver *resolver;             /* client.c */
        DiscoveryState discovery_state; /* intake/resolve */
};
