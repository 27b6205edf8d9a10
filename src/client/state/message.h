/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A message in memory. Of a million waiting ones only those are here that are bound to a receiver, next in a
 * queue, among the newest, or looked at; the rest is on disk and comes when it is needed. */

#include "client/client.h"

#define RECENT_MAX 1000u

struct Message {
        Client *client;
        OutboxRecord record; /* its state may also be sent and waiting, which are not on disk */
        Queue *queue;        /* of its selector; NULL once it is final */
        void *payload;       /* NULL: on disk only */

        Whole *whole; /* of a message to several: what is known of its members; NULL for others */

        Peer *peer;      /* bound to; NULL once it is final */
        Ledger *ledger;  /* holds its sequence until the settlement is synced; NULL for bare text */
        bool binding;    /* the binding is on its way to the disk */
        bool waiting;    /* in the queue's list */
        bool ready;      /* in the peer's list of what can be written */
        bool in_flight;  /* counts against the peer's credit */
        bool fetching;   /* the payload is on its way from the disk */
        bool announced;  /* the observer knows it */
        bool saving;     /* a save is on its way */
        bool save_again; /* and it is out of date already */
        bool unsaved;    /* in the list of those that the disk refused */
        bool purging;    /* its removal is on its way to the disk */
        bool recent;
        bool memory;             /* not on disk, unless it becomes a dead letter */
        bool quiet;              /* of a bulk submission: not announced, and only what goes wrong is told */
        bool dirty;              /* the observer's: has changes to tell */
        unsigned sends;          /* on the wire under this binding, as far as this process knows */
        unsigned failures;       /* in a row */
        char *progress;          /* "40 copying", as the handler said last */
        OutboxAttempt *attempts; /* tries that are over, and not on disk yet */
        unsigned pins;
        HeapItem due;

        /* Where a binding was given up, until that is synced. */
        Ledger *old_ledger;
        uint64_t old_sequence;

        void *waiters; /* the observer's */

        Submitter *submitter; /* who wants to hear of its end; NULL: nobody */
        uint64_t submission_number;

        Message *prev, *next; /* in the queue's list of waiting or the peer's of bound ones */
        Message *ready_prev, *ready_next;
        Message *recent_prev, *recent_next;
        Message *unsaved_prev, *unsaved_next;
        Message *dirty_prev, *dirty_next; /* the observer's */
        Message *submitter_prev, *submitter_next;
        IndexItem by_key, by_member; /* by_member: of members, at their receiver, by id */
};

/* Takes what the record holds, on success. The message is in memory until nothing needs it. */
int message_new(Client *c, OutboxRecord *record, Message **ret);
Message *message_find(Client *c, sd_id128_t id); /* in memory: the only delivery, or the whole */
Message *message_find_member(Client *c, sd_id128_t id, uint32_t member);
uint32_t message_hash(sd_id128_t id, uint64_t member);
Policy message_policy(const Message *m); /* what its sender said, or the configuration */

bool message_is_member(const Message *m); /* of a whole: it is not shown as a message */
void message_announce(Message *m);        /* tells the observer, and counts it among the newest */
void message_pin(Message *m);
void message_unpin(Message *m);
void message_release(Message *m); /* frees it when nothing needs it */
void message_changed(Message *m);
int message_keep_payload(Message *m, const void *data); /* a copy of record.size bytes; 0 or -ENOMEM */
void message_drop_payload(Message *m);                  /* it is on disk, or nobody needs it */
/* Small payloads are worth their memory. A large one that cannot be written now is read again when it can.
 */
void message_spare_payload(Message *m);
void message_leave_queue(Message *m); /* it is final */
int message_enter_queue(Message *m);  /* it was final */
void message_forget(Message *m);      /* it is purged from the disk */

/* The only one whose id begins with `prefix` (6 to 32 hex digits, or a UUID with dashes), in memory or on
 * disk. `done` gets it pinned for the duration of the call, or NULL with -ENOENT, -ENOTUNIQ, -EINVAL (no
 * such form) or what the disk says. It may be called before this returns. */
void message_look_up(Client *c, const char *prefix, void (*done)(Message *m, int r, void *userdata),
                void *userdata);

/* Frees all of them, for the end of the process. */
void messages_clear(Client *c);
