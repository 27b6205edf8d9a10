/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Connections of senders. A first byte that begins a frame makes one a connection of frames, whose first
 * must be HELLO; any other makes it one message as bare text, where that is switched on.
 *
 * Connections are spoken of by number outside of here: one that has ended meanwhile just gets nothing. */

#include <uthash.h>

#include "runtime/loop.h"
#include "runtime/timer.h"
#include "wire/frame.h"

typedef struct Receiver Receiver;
typedef struct Conn Conn;

typedef struct Conns {
        Conn *by_id;
        uint64_t last_id;
        size_t n;
        size_t n_open;  /* behind HELLO */
        LoopWork share; /* deals out credit anew, once per loop iteration */
} Conns;

/* Who sent a message. */
typedef struct Sender {
        uint64_t conn;
        sd_id128_t id;    /* null for bare text */
        const char *name; /* printable */
} Sender;

void conns_init(Receiver *r);
void conns_clear(Receiver *r);

int conn_accept(Receiver *r, int fd); /* takes the descriptor on success */

void conn_answer(Receiver *r, uint64_t conn, const AnswerFrame *answer);
void conn_pruned(Receiver *r, uint64_t conn, sd_id128_t stream);
void conn_text_done(Receiver *r, uint64_t conn, bool acked); /* the end of a message of bare text */

bool conn_is_open(const Receiver *r, uint64_t conn);
void conns_goodbye(Receiver *r, GoodbyeReason reason, bool end);
void conns_share(Receiver *r); /* deals out credit anew: there is another number of places or of connections
                                */
bool conns_are_parted(
                const Receiver *r); /* what was said is out, and behind GOODBYE nothing comes any more */
