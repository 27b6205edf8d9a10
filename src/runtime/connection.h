/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A non-blocking connection with buffers on both sides. Bytes arrive in `input`; the owner appends to
 * `output`, which is written once per loop iteration. Callbacks may free the connection.
 *
 * Back-pressure: connection_pause() stops reading, and connection_output_size() says how much the peer has
 * not taken yet. */

#include "base/buffer.h"
#include "model/address.h"
#include "runtime/loop.h"

typedef struct Connection Connection;

typedef struct ConnectionCallbacks {
        void (*connected)(Connection *c, void *userdata); /* connection_open() only: it is established */
        void (*readable)(Connection *c, void *userdata);  /* there are new bytes in connection_input() */
        void (*half_closed)(Connection *c,
                        void *userdata); /* the peer sends no more; NULL: `ended` with 0 is called instead */
        void (*ended)(Connection *c, int error,
                        void *userdata); /* called once; 0: the peer has closed it, or a negative errno */
        void (*drained)(Connection *c, void *userdata); /* the kernel has taken all output; may be NULL */
} ConnectionCallbacks;

/* Takes over `fd` on success. 0 or negative errno. */
int connection_new(
                Loop *loop, int fd, const ConnectionCallbacks *callbacks, void *userdata, Connection **ret);

/* Begins to connect. The host of a TCP address may be a name: its addresses are looked up and tried one
 * after the other. `silence_usec` is for connection_end_silence(). `ended` reports every failure to connect,
 * never from inside this call. */
int connection_open(Loop *loop, const Address *address, uint64_t silence_usec,
                const ConnectionCallbacks *callbacks, void *userdata, Connection **ret);

/* Sets TCP_NODELAY, keepalive and TCP_USER_TIMEOUT, so that the connection fails when the peer has not
 * answered for about this long. Accepted sockets inherit these options from their listening socket. */
void connection_end_silence(int fd, uint64_t silence_usec);

/* False: the file of a Unix socket is missing, so connection_open() would fail. */
bool connection_is_possible(const Address *address);

Connection *connection_free(Connection *c); /* closes; no callback is called */
DEFINE_CLEANUP(Connection *, connection_free)

Buffer *connection_input(Connection *c);
Buffer *connection_output(Connection *c); /* call connection_flush() after appending */
void connection_flush(Connection *c);     /* the output is written at the end of this iteration */
size_t connection_output_size(const Connection *c);
/* Bytes that the peer has not taken: the output, and what the kernel still has. Over TCP the peer's kernel
 * takes them as long as it has room, over a Unix socket only the peer itself. */
size_t connection_unsent(const Connection *c);
void connection_pause(Connection *c, bool paused);
void connection_shutdown(Connection *c); /* tells the peer that nothing more comes */
/* Writes what the kernel takes at once, for a process that ends and does not return to its loop. Calls no
 * callback and ignores errors. */
void connection_write_now(Connection *c);
/* Closes an accepted descriptor after trying to write `data`: a refusal. */
void connection_refuse(int fd, const void *data, size_t n);
