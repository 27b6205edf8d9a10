/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Connections of senders: frames and plain text in, answers and credit out. The first byte decides: one that
 * begins a frame makes it a connection of frames, and the first frame must be HELLO; any other byte makes it
 * one message as plain text, where that is switched on.
 *
 * Other modules know a connection by its number. If it has ended meanwhile, what they send is dropped: a job
 * outlives the connection that asked for it. */

#include <uthash.h>

#include "model/receiver-info.h"
#include "receiver/depth.h"
#include "receiver/phase.h"
#include "receiver/turns.h"
#include "runtime/loop.h"
#include "runtime/timer.h"
#include "wire/frame.h"

typedef struct Conn Conn;

/* Who sent a message. */
typedef struct Sender {
        uint64_t conn;
        sd_id128_t id;    /* null for plain text */
        const char *name; /* printable */
} Sender;

/* What connections receive. Frames and texts are lent for the call. A negative return breaks the protocol:
 * the connection ends with `error`. */
typedef struct ConnEvents {
        int (*message)(const Sender *sender, const MessageFrame *f, Error *error, void *userdata);
        int (*cancel)(const Sender *sender, const CancelFrame *f, Error *error, void *userdata);
        int (*settled)(const Sender *sender, const SettledFrame *f, Error *error, void *userdata);
        bool (*text)(const Sender *sender, Bytes text, void *userdata); /* false: no room */
} ConnEvents;

typedef struct Conns {
        /* Set by the root before conns_init(). */
        Loop *loop;
        const ReceiverConfig *config;
        const ReceiverInfo *info;
        const Condition *condition;
        const Depth *depth;
        LoopWork *idle_check; /* deferred when a connection has ended or its output is sent */
        ConnEvents events;
        void *userdata; /* of the events */

        Conn *by_id;  /* the oldest first */
        Conn *recent; /* the one that was found last: mostly the next event is of it; or NULL */
        uint64_t last_id;
        size_t n;
        size_t n_open;  /* of these, those that have sent HELLO */
        LoopWork share; /* distributes the credit again, once per loop iteration; written by conn-out */
        Turns turns;
        Timer offers; /* ends offers that nobody takes */
} Conns;

int conns_init(Conns *c);   /* 0 or negative errno */
void conns_clear(Conns *c); /* before the loop goes */

int conn_accept(Conns *c, int fd); /* 0, and takes over the descriptor; or negative errno */

void conn_answer(Conns *c, uint64_t conn, const AnswerFrame *answer);
void conn_pruned(Conns *c, uint64_t conn, sd_id128_t stream);
/* The one message of the connection has ended. */
void conn_text_done(Conns *c, uint64_t conn, sd_id128_t message, bool acked);

/* `n_free`: places that are free. True: a message of this connection may take one. */
bool conn_may_begin(Conns *c, uint64_t conn, size_t n_free);
/* A message of this connection was taken. True: one was refused before, so its sender must hear of it at
 * once. */
bool conn_began(Conns *c, uint64_t conn);
void conn_refused(Conns *c, uint64_t conn); /* there was no place; CREDIT will say when there is one */
void conns_offer(Conns *c, size_t n_free);  /* free places to those that wait */

bool conn_is_open(Conns *c, uint64_t conn); /* of a sender that can be answered */

/* Ends the connections of this sender that are older than `conn`, without reading what they still hold. */
void conns_end_older(Conns *c, const Sender *sender);
void conns_goodbye(Conns *c, GoodbyeReason reason, bool end); /* `end`: then all connections end */
void conns_share(Conns *c);             /* the number of places or of connections has changed */
bool conns_have_parted(const Conns *c); /* all output is sent, and every sender has answered GOODBYE */
