/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Connections as the kernels of both machines see them. For the files of the world.
 *
 * A test holds some ends itself. An end that belongs to no machine gets its bytes at once, and everything
 * that is written to it is taken. */

#include <sys/types.h>

#include "world/inside.h"
#include "world/link.h"
#include "world/scheduler.h"

typedef struct Pair Pair;

/* Bytes that arrive together. */
typedef struct Segment {
        uint64_t at;
        size_t size;
} Segment;

struct TestSocket {
        Pair *pair;
        TestSocket *peer;
        Process *process; /* NULL: the test */
        Machine *machine;
        int fd;      /* until a Connection takes it; -1: it has none */
        Owned owned; /* while it is a descriptor */

        /* What comes to this end. */
        Link *link;
        Buffer received;   /* that arrived; behind them those that are on the way */
        size_t on_the_way; /* bytes */
        Segment *segments; /* of the bytes on the way */
        size_t first_segment, n_segments, n_allocated;
        WorldCall delivery; /* at the time of the first segment, or of the end */
        uint64_t last_at;   /* the arrival of what was sent last */
        bool end_is_sent, end_closes;
        uint64_t end_at;
        int end_error;
        bool is_deaf;        /* what the peer writes is lost */
        bool peer_is_shut;   /* no bytes follow those in `received` */
        bool peer_is_closed; /* nobody reads at the other end */
        int error;           /* the connection is broken */

        /* What this end does. */
        bool is_closed;
        bool is_vanished;      /* its machine lost power: nobody told the peer */
        bool is_stalled;       /* takes no bytes (ends of the test) */
        bool is_blocked;       /* what it wants to write does not fit into the buffers of the kernels */
        uint64_t silence_usec; /* 0: it does not notice that the peer is silent */
        WorldCall silence;     /* set while nothing comes back from the peer */
};

struct Pair {
        TestSocket ends[2]; /* 0 has connected to 1 */
        uint64_t number;
        size_t room;                      /* bytes that are written and not read */
        bool is_tcp, is_offered, is_held; /* held: by a test; it is not freed */
        char address[ADDRESS_STRING_MAX];
        Pair *prev, *next;
};

/* Connects `from` to a listener. `to` is the process that listens. The end that accepts is given to the
 * listener when the first byte, or this, arrives there. */
TestSocket *socket_connect(Process *from, Process *to, Machine *to_machine, const Address *address,
                uint64_t silence_usec);
/* Both ends belong to nobody yet. */
TestSocket *socket_new_pair(const char *address);
/* How many bytes were taken; -EAGAIN: none fits; or another negative errno. */
ssize_t socket_write(TestSocket *s, const void *data, size_t n);
size_t socket_n_arrived(const TestSocket *s);
size_t socket_n_left(const TestSocket *s);    /* bytes that are still with the sender: over TCP none */
void socket_consume(TestSocket *s, size_t n); /* that have arrived */
void socket_shutdown(TestSocket *s);
/* Its owner has closed it, or is gone. The peer sees the end: -ECONNRESET if bytes were not read, otherwise
 * `error` (for tests; 0). The socket may be freed. */
void socket_close(TestSocket *s, int error);
/* Nothing that is on the way arrives; both ends see the error. */
void socket_reset(Pair *p, int error);
bool socket_is_hung_up(const TestSocket *s);

/* A link, or a machine, has changed. */
void sockets_changed(void);
void sockets_power_on(Machine *m);
Pair *pairs_first(void);
void socket_world_begin(void);
void socket_world_end(void);

/* silence.c */
void silence_init(TestSocket *s);
void silence_update(TestSocket *s); /* whether the peer can be heard may have changed */
/* socket.c, for silence.c */
void socket_give_up(TestSocket *s, int error); /* the kernel ends it; the peer is told */

void socket_note_opened(void); /* a daemon of a unit test tries to make a connection */
