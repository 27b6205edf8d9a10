/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the connections share. conn.c has what comes in, conn-out.c what goes out: credit,
 * answers, the parting. Only conn-out.c calls the other one. */

#include "receiver/conn.h"
#include "runtime/connection.h"

/* With so much unread output, the peer's frames are not read either. */
#define OUTPUT_PAUSE ((size_t) 1 << 20)

typedef enum ConnState {
        CONN_NEW,          /* nothing has been received */
        CONN_HELLO,        /* frames; HELLO has not come */
        CONN_OPEN,         /* frames */
        CONN_TEXT,         /* plain text that has not ended */
        CONN_TEXT_WORKING, /* plain text that is queued or running */
        CONN_ENDING,       /* input is dropped; closed when the output is sent and the peer closes */
} ConnState;

struct Conn {
        Conns *conns;
        uint64_t id;
        Connection *connection;
        ConnState state;
        Timer timer; /* waits for HELLO, for the end of a text, or for the end of the connection */
        size_t need; /* frame_decode() needs so many bytes before it can say more */
        uint32_t credit;
        Turn turn;             /* for a place */
        bool goodbye_received; /* no MESSAGE comes any more */
        sd_id128_t sender;
        char *sender_name;
        UT_hash_handle hh;
};

Conn *conns_find(Conns *cs, uint64_t id); /* NULL: it has ended */
unsigned conns_share_of(
                const Conns *cs, size_t i); /* credit of the open connection number i; the oldest is 0 */
void conn_send(Conn *c, const Frame *f);
/* Does not free the connection, since its frames may be in the middle of being read. From here on its input
 * is dropped, and the loop closes it when the output is sent. */
void conn_end(Conn *c);
Conn *conn_free(Conn *c);
