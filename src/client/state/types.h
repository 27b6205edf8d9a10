/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* All structs of the client's state. The floors above may read them. Each group of fields names the file
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
        DISCOVERY_UNKNOWN, /* no answer yet */
        DISCOVERY_REACHABLE,
        DISCOVERY_UNREACHABLE,
        _DISCOVERY_STATE_MAX,
} DiscoveryState;

/* A message in memory. A message is in memory if it is bound to a receiver, near the front of its queue,
 * among the newest, or in use. All others are on disk only. */
struct Message {
        Client *client;
        OutboxRecord record; /* engine/, state/attempts, state/message; the states "sent" and "backoff" exist
                                in memory only */

        /* state/message */
        IndexItem by_key;
        Queue *queue;   /* of its selector; NULL: the message is final */
        void *payload;  /* NULL: on disk only */
        Fanout *fanout; /* of a message to several receivers; else NULL */
        unsigned pins;
        bool announced; /* the observer knows it */
        bool recent;    /* in the list of the newest */
        Message *recent_prev, *recent_next;

        bool transient; /* state/transient: not on disk, unless it becomes a dead letter */
        bool fetching;  /* engine/pump: its payload is being read */
        bool purging;   /* intake/purge: its removal is being written */

        OutboxAttempt *attempts; /* state/attempts: attempts that are over and not on disk yet */

        /* engine/deliver */
        unsigned failures; /* in a row */
        bool cut_short;    /* it was with its receiver when somebody cancelled it */
        char *progress;    /* the handler's last report, such as "40 copying"; or NULL */
        HeapItem due;      /* ack timeout, or next attempt */

        /* engine/backlog: place in the list of its queue */
        struct {
                bool on;
                Message *prev, *next;
        } queued;

        /* engine/bind */
        struct {
                SendWindow *window; /* has its sequence until its end is on disk; NULL for plain text */
                bool earlier;       /* an earlier start of this client bound it, and may have sent it */
                bool pending;       /* the binding is being written */
                bool pressing;      /* so it is, beyond the credit, and a place is kept free for it */
                bool preferred;     /* it was the first one that its receiver had refused */
        } bind;

        /* state/peer: place at its receiver */
        struct {
                Peer *peer; /* its receiver; NULL: not bound, or final */
                Message *prev, *next;
                IndexItem by_member; /* of members, by id */
                Message *ready_prev, *ready_next;
                uint64_t end;   /* of its last frame, in the bytes of the connection */
                unsigned sends; /* sends under this binding that this process knows of */
                bool ready;     /* in the list of messages that can be written */
                bool in_flight; /* counts against the receiver's credit */
                bool fetching;  /* engine/pump too: so does this, while its payload is read */
                bool attempted; /* the receiver may have begun the attempt that has not ended */
                bool repeated;  /* it was so before the last send */
        } link;

        /* engine/save */
        struct {
                bool running;           /* intake/submit too: a write is in progress */
                bool again;             /* the message changed meanwhile: another write must follow */
                DeliveryState state;    /* state/message too: the last one that is synced */
                RetryItem retry;        /* the write failed */
                SendWindow *old_window; /* of the previous binding, until its end is on disk; or NULL */
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
                bool dirty; /* has changes without a signal yet */
                Message *prev, *next;
        } bus;
};

/* A message to several receivers has a Message for the whole (member 0), which users see, and one for each
 * member. engine/fanout writes it. */
struct Fanout {
        Message *message; /* state/message */
        unsigned need;    /* state/message, engine/fanout: acks of a quorum */
        unsigned n_members, n_acked, n_failed;
        unsigned n_joining; /* members that are being written: the message does not end before */
        bool reading;       /* engine/members: its members are being read */
        const struct MemberWalk *missed; /* engine/members: to be done when there is memory again */
        RetryItem retry;                 /* engine/members: for that */
        bool held;                       /* open, so it stays in memory */
        Fanout *prev, *next;             /* of those that receivers may still join */
};

typedef struct Position {
        unsigned priority;
        uint64_t number;
} Position;

/* Messages of one selector that have no receiver yet, by priority, then in order of acceptance. The front is
 * in memory, the rest is on disk only. */
struct Queue {
        Client *client;

        /* state/queue */
        char *text;
        Selector selector;
        Queue *prev, *next; /* of mode any */
        UT_hash_handle hh, hh_receiver;
        size_t n_messages; /* state/message: all its messages in memory, bound ones too */
        size_t n_bound;    /* state/peer: bound to a receiver */
        size_t n_arriving; /* intake/submit: on their way to the disk, without a receiver */

        /* engine/backlog */
        Message *queued;                 /* the front, by priority, then the oldest first */
        Message *last[PRIORITY_MAX + 1]; /* of each priority in the front; or NULL */
        size_t n_queued;
        uint64_t n_stored; /* on disk behind the front */
        Position read_to;  /* state/queue too: memory holds everything up to here */
        bool reading;
        RetryItem retry;           /* the read of the next page failed */
        void (*on_read)(Queue *q); /* called after a read, and again a while after a failed one */

        /* engine/bind */
        Peer *owner;   /* link/peers too: for mode key: the receiver of its messages while it has any */
        uint64_t turn; /* peers.turn when one of its messages was last bound; not for mode key */

        /* state/queue: for mode key */
        bool waits;     /* its next message waits for room */
        Peer *waits_at; /* in the list of this receiver; NULL: of those that found none */
        Queue *waits_prev, *waits_next;
};

/* The sequences of one stream to one receiver: which are settled, and which of them the receiver has been
 * told about. link/window writes it. */
struct SendWindow {
        Peer *peer;
        sd_id128_t stream;
        uint64_t next_sequence; /* 0: an older stream, which gives out no new sequences */
        SequenceSet settled;
        uint64_t announced; /* the low mark that the receiver has been told on this connection */
        size_t n_open;
        unsigned n_unannounced; /* settled, but the receiver has not been told yet */
        bool keeping;           /* its row is being written */
        bool kept;              /* its row is on disk, so the next start can close it */
        SendWindow *prev, *next;
};

typedef enum PeerState {
        PEER_IDLE,       /* no connection; the timer, if armed, ends a pause after a failure */
        PEER_CONNECTING, /* or greeting; the timer limits the time */
        PEER_CONNECTED,
} PeerState;

/* One receiver, as this client sees it, and the one connection to it. */
struct Peer {
        Client *client;

        /* link/peers */
        ReceiverInfo info; /* only the id is always set */
        bool listed;       /* discovery's last list contains it */
        bool remembered;   /* it left, and no other receiver has its name since */
        uint64_t left;     /* number in the order of leaving; 0: it has not been listed since the start */
        Timer timer;       /* armed by link/connection and link/plain */
        UT_hash_handle hh, hh_name;
        uint64_t generation; /* intake/resolve: of the last list that contained it */

        /* engine/bind */
        size_t n_pressing;  /* of `bound`, those that are pressing */
        uint64_t turn;      /* peers.turn when it was last chosen for a message of mode any */
        uint64_t keys_turn; /* peers.turn when a message of mode key was last bound to it */
        uint64_t refused; /* number of the first message that it has refused since the last one was bound to
                             it; 0: none */
        bool sought; /* link/peers too: queues of mode key without a receiver may wait for it: it is new */

        Queue *keys; /* state/queue: those of mode key that wait for room at this receiver */

        /* state/peer */
        Message *bound; /* in order of binding */
        size_t n_bound;
        size_t n_backoff;  /* of these, those that wait for their next attempt */
        size_t n_fetching; /* of these, those whose payload is being read */
        Index members;     /* the members among them, by id */
        Message *ready;    /* the messages among them that can be written now, by priority */
        RetryItem retry;   /* there was no memory to bind or to write */
        LoopWork room;     /* messages there have ended */

        /* link/window */
        sd_id128_t stream_id; /* of the newest stream; each start of the client makes a new one for each
                                 receiver */
        SendWindow *windows;
        bool full; /* the newest window is used up: no more messages are bound */

        /* link/connection */
        struct {
                PeerState state;
                bool missed;     /* the last try failed at every address */
                bool leaving;    /* it sent GOODBYE */
                bool restarting; /* GOODBYE announced that it comes back at once */
                Connection *connection;
                LoopWork down;      /* reports that no address could be reached, or ends the connection */
                bool parting;       /* it ends the connection, which somebody else needs */
                bool crowded;       /* the last try failed because too many connections were open */
                bool lacking;       /* this host lacked something for the last try: descriptors, memory */
                size_t address;     /* the address in use */
                unsigned failures;  /* in a row */
                unsigned fruitless; /* connections in a row that ended soon, and ended no message */
                bool fruitful;      /* this one has ended a message */
                uint64_t since;     /* CLOCK_BOOTTIME: the greeting */
                uint64_t taken;     /* bytes that the kernel took on the last one */
                char *problem;      /* why the last connection failed; or NULL */
                uint32_t credit, window, max_payload;
                uint32_t n_in_flight; /* state/peer: written and unanswered on this connection */
                /* link/liveness */
                bool watched;              /* the timer runs */
                bool heard, pinged;        /* since its last tick: bytes came, PING was sent */
                bool stuck;                /* it had left some output for a whole tick */
                uint64_t output, accepted; /* bytes until that tick; those that it had taken */
                Peer *prev, *next;         /* of the connected ones */
        } link;

        Message *plain; /* link/plain: the message that uses the connection; or NULL */

        /* link/pause */
        struct {
                bool on; /* nothing is sent, since the receiver answered busy */
                Timer timer;
                bool probing;      /* after that, one message shows whether there is room again */
                Message *probe;    /* state/peer too: that one, unanswered; or NULL */
                unsigned failures; /* refused probes in a row */
                uint64_t offered;  /* CLOCK_BOOTTIME: CREDIT ends the pause only from then on */
        } pause;
};

/* Events of a connection. They come from the loop, never from inside a call into link/. */
typedef struct LinkEvents {
        void (*up)(Peer *p);   /* it is connected */
        void (*down)(Peer *p); /* the connection ended, or no address could be reached */
        void (*answer)(Message *m, const AnswerFrame *a); /* for the present binding */
        void (*credit)(Peer *p);                          /* its credit has changed */
        void (*room)(Peer *p);                            /* it can take more messages */
        void (*leaving)(Peer *p);                         /* it sent GOODBYE */
        void (*written)(Peer *p); /* the kernel has all output, or the plain text message `p->plain` */
        void (*idle)(Peer *p);    /* a pause after a failure is over */
} LinkEvents;

/* The observer of the engine. Every function must be set. message_event and message_changed may come from
 * inside a call that the observer made. The others come from the loop. */
typedef struct ClientObserver {
        void (*message_added)(Message *m, void *userdata);   /* users can see it from now on */
        void (*message_removed)(Message *m, void *userdata); /* it leaves memory; it may still be on disk */
        void (*message_changed)(Message *m, void *userdata);
        /* for members too, with the id of the whole message */
        void (*message_event)(Message *m, MessageEvent event, uint32_t attempt, const char *detail,
                        void *userdata);
        void (*message_saved)(Message *m, void *userdata); /* its last change is synced */
        void (*receiver_listed)(const ReceiverInfo *info, bool listed, void *userdata);
        void (*changed)(void *userdata); /* the client's counters, or the state of discovery */
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
        /* A write of the message is synced (engine/save). `before`: its state on disk until now. */
        void (*saved)(Message *m, DeliveryState before, bool was_binding);
        /* The message is final (engine/deliver). Not `durable`: it is acked, but the ack is not on disk yet.
         */
        void (*ended)(Message *m, bool durable);
        sd_id128_t id; /* of this client; it never changes */
        HostMark here;
        char host[NAME_MAX_LENGTH + 1];
        bool stopping;

        RandomPool random;
        Slab slab; /* of messages, their payloads and their operations of the disk */
        Retries retries;

        struct {
                Index index;     /* state/message: in memory, by id and member */
                Message *recent; /* state/message: the newest messages, oldest first */
                size_t n_recent;

                /* engine/, intake/, client.c */
                uint64_t last_number;
                uint64_t n_open;                /* accepted and not settled, on disk too */
                uint64_t n_dead;                /* rejected or dead, and not yet purged or revived */
                uint64_t n_settled, n_attempts; /* since the start */
        } messages;

        struct {
                /* state/queue; by_receiver, by_name: of mode to */
                Queue *by_text, *by_receiver, *by_name, *any;
                unsigned n_swept;    /* state/queue: the number of queues at which unused ones are freed */
                Queue *stuck;        /* state/queue: of mode key, without a receiver */
                size_t n_unassigned; /* engine/backlog: messages in memory that have no receiver yet */
        } queues;

        struct {
                Peer *by_id, *by_name; /* link/peers; by_name: the listed ones */
                Peer *remembered;      /* link/peers: by name */
                uint64_t n_left;       /* link/peers: receivers that left, since the start */
                Peer *connected;       /* link/connection */
                unsigned n_open;       /* link/connection: connections */
                unsigned n_max;        /* client.c: as many as there may be */
                uint64_t turn;         /* engine/bind: counts choices, so that equal receivers take turns */
        } peers;

        /* link/window */
        struct {
                Timer timer; /* announces settlements */
        } windows;

        /* engine/due, engine/dispatch: ack timeouts and next attempts */
        struct {
                Heap heap;
                Timer timer;
                uint64_t armed; /* the timer's time; USEC_INFINITY: not armed */
                bool held;      /* the process was held up: answers that came meanwhile are read first */
        } due;

        struct {
                Fanout *following;         /* engine/fanout, state/message: receivers may still join these */
                struct MembersPage *pages; /* engine/members: reads in progress */
        } fanouts;

        /* engine/save */
        struct {
                unsigned n_untrimmed; /* messages that have ended since the history was trimmed */
                bool untrimmed;       /* some have ended since it was trimmed to the last one */
                uint64_t ended;       /* CLOCK_BOOTTIME of the last of them */
                Timer trim;
        } save;

        /* state/transient */
        struct {
                DbOp *first, **end; /* operations that end without the disk, at the end of this iteration */
                size_t n_bytes;     /* of payloads in memory only */
        } transient;

        struct {
                size_t n_bytes; /* intake/submit: of payloads that are being written */
        } submit;

        /* intake/schedule */
        struct {
                Timer timer;
                uint64_t next; /* since the epoch: the earliest time of a message; USEC_INFINITY: none */
                bool reading;
        } schedule;

        /* intake/bulk */
        struct {
                Bulk *programs;
                size_t n_programs;
        } bulk;

        struct Drain *drains; /* intake/drain: requests that discovery has not answered */

        Resolver *resolver;             /* client.c */
        DiscoveryState discovery_state; /* intake/resolve */
};
