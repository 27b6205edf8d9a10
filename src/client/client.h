/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The client daemon's root object. What its parts do:
 *   client-submit   accepts messages        client-deliver  drives each along model/delivery
 *   client-submitter  of programs that send in bulk
 *   client-message  those in memory         client-save     writes how far they got
 *   client-queue    those without receiver  client-peer     one connection per receiver
 *   client-ledger   what receivers may prune  client-plain  bare text
 *   client-bind     which receiver          client-trace    what became of each try
 *   client-whole    messages to several
 *   client-agenda   starts and deadlines    client-resolve  who is there
 *   client-bus      org.ackgroup.Client1 */

#include <uthash.h>

#include "base/hash-index.h"
#include "base/heap.h"
#include "base/random.h"
#include "base/slab.h"
#include "client/state/config.h"
#include "http/http-client.h"
#include "model/selector.h"
#include "runtime/loop.h"
#include "runtime/timer.h"
#include "store/outbox.h"

typedef struct Client Client;
typedef struct Ledger Ledger;
typedef struct Message Message;
typedef struct Peer Peer;
typedef struct Queue Queue;
typedef struct Resolver Resolver;
typedef struct Submitter Submitter;
typedef struct Whole Whole;

typedef enum DiscoveryState {
        DISCOVERY_UNKNOWN, /* not asked yet */
        DISCOVERY_REACHABLE,
        DISCOVERY_UNREACHABLE,
        _DISCOVERY_STATE_MAX,
} DiscoveryState;

const char *discovery_state_to_string(DiscoveryState value);
int discovery_state_from_string(const char *word);

/* Who wants to be told; every function must be there. Called from the loop, never from inside a call that
 * the observer made, except message_event and message_changed. */
typedef struct ClientObserver {
        void (*message_added)(Message *m, void *userdata);   /* it can be looked at from now on */
        void (*message_removed)(Message *m, void *userdata); /* it leaves memory; it may still be on disk */
        void (*message_changed)(Message *m, void *userdata);
        /* of members too: the id is the same */
        void (*message_event)(
                        Message *m, const char *event, uint32_t attempt, const char *detail, void *userdata);
        void (*message_saved)(
                        Message *m, void *userdata); /* what was true when it was last changed is synced */
        void (*receiver_listed)(const ReceiverInfo *info, bool listed, void *userdata);
        void (*changed)(void *userdata); /* the client's own numbers or discovery's state */
        void *userdata;
} ClientObserver;

struct Client {
        ClientConfig config;
        void (*on_reload)(Client *c);

        Loop *loop;
        Db *db;
        sd_event_source *db_source;
        HttpClient *http;
        Address discovery_address;
        ClientObserver observer;

        RandomPool random;
        Slab slab;     /* of messages, their payloads, and what is under way to the disk about them */
        sd_id128_t id; /* of this client, for good */
        char host[NAME_MAX_LENGTH + 1];

        Index messages;  /* in memory, by id and member */
        Message *recent; /* the newest of them, oldest first */
        size_t n_recent;
        uint64_t last_number;
        uint64_t n_open;                /* accepted and not settled, on disk too */
        uint64_t n_dead;                /* rejected or dead, and kept until somebody decides */
        uint64_t n_settled, n_attempts; /* since the start */
        unsigned untrimmed;

        Queue *queues;                    /* by text */
        Queue *any_queues;                /* those of mode any */
        Queue *stuck;                     /* those of mode key that nobody can be found for */
        struct WholePage *members_unread; /* reads that failed and are tried again */
        Whole *following;                 /* those that take in who joins */
        unsigned queues_swept;            /* at how many the next look for unused ones is due */
        Peer *peers;                      /* by id */
        Peer *peer_names;                 /* the listed ones, by name */
        Peer *connected;                  /* that can be written to */
        uint64_t turn;                    /* of choosing among equals */
        uint64_t n_left;                  /* receivers that left, since the start */

        size_t n_waiting; /* messages in memory that have no receiver yet */
        Heap due;         /* ack timers and retries */
        Timer due_timer;
        uint64_t due_armed; /* for when; USEC_INFINITY: it is not */
        bool due_held;      /* it lets what came while we were held up be read first */
        Timer settle_timer;
        DbOp *memory_first, **memory_end; /* what is done without the disk, at the end of this iteration */
        size_t inserting_bytes;           /* of payloads that are on their way to the disk */
        size_t memory_bytes;              /* of payloads that are in memory only */
        Message *unsaved;                 /* the disk refused them; they are tried again */
        Timer unsaved_timer;

        Timer agenda_timer;
        uint64_t agenda_next; /* since the epoch: when the first message has a time; USEC_INFINITY: none */
        bool agenda_reading;

        Submitter *submitters; /* programs that send in bulk */
        size_t n_submitters;

        Resolver *resolver;
        DiscoveryState discovery_state;
        bool stopping;
};

/* `c->config` is filled in already. */
int client_start(Client *c, const ClientObserver *observer, Error *error);
void client_clear(Client *c);
void client_reload(Client *c, const ClientConfig *fresh); /* copies what may change while the client runs */
