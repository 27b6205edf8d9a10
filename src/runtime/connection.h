/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A non-blocking connected stream socket with buffers on both sides. The owner sees bytes arrive in `input`
 * and appends to `output`; output is written once per loop iteration, whatever was appended in it. Callbacks
 * may free the stream.
 *
 * Back-pressure: reading pauses while the owner says so (connection_pause); the owner looks at
 * connection_output_size(). */

#include "base/buffer.h"
#include "model/address.h"
#include "runtime/loop.h"

typedef struct Connection Connection;

typedef struct ConnectionCallbacks {
        void (*connected)(Connection *s, void *userdata); /* outgoing connection is up */
        void (*readable)(Connection *s, void *userdata);  /* new bytes in connection_input() */
        void (*half_closed)(Connection *s,
                        void *userdata); /* the peer will send no more; NULL: as ended with 0 */
        void (*ended)(Connection *s, int error,
                        void *userdata); /* 0: closed by the peer; negative errno. Called once. */
        void (*drained)(Connection *s, void *userdata); /* all output is with the kernel; may be NULL */
} ConnectionCallbacks;

/* Takes over `fd` on success. */
int connection_new(
                Loop *loop, int fd, const ConnectionCallbacks *callbacks, void *userdata, Connection **ret);

/* Begins a connection. The host of TCP may be a name: its addresses are looked up and tried in turn. TCP
 * gets TCP_NODELAY, keepalive and TCP_USER_TIMEOUT of `silence_usec`. Failing at once and failing later both
 * come as `ended`, never from inside this call. */
int connection_open(Loop *loop, const Address *address, uint64_t silence_usec,
                const ConnectionCallbacks *callbacks, void *userdata, Connection **ret);

/* A TCP socket gets TCP_NODELAY, keepalive and TCP_USER_TIMEOUT, so that a peer that has gone without a word
 * is found out after about so long. What a listening socket has, those that it accepts have, too. */
void connection_end_silence(int fd, uint64_t silence_usec);

/* False where the file of a Unix socket is missing, so that connection_open() would fail. */
bool connection_is_possible(const Address *address);

Connection *connection_free(Connection *s); /* closes; nothing is called any more */
DEFINE_CLEANUP(Connection *, connection_free)

Buffer *connection_input(Connection *s);
Buffer *connection_output(Connection *s); /* after appending: connection_flush() */
void connection_flush(Connection *s);     /* arranges for the output to be written in this loop iteration */
size_t connection_output_size(const Connection *s);
void connection_pause(Connection *s, bool paused);
void connection_shutdown(Connection *s); /* tells the peer that nothing more comes */
/* Writes what the kernel takes at once, without the loop: for the last words of a process that ends. No
 * callback is called; an error is passed over. */
void connection_write_now(Connection *s);
/* Closes an accepted descriptor for which there is no room, after an attempt to say why. */
void connection_refuse(int fd, const void *data, size_t n);
