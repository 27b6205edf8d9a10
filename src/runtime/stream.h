/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A non-blocking connected stream socket with buffers on both sides. The owner sees bytes arrive in `input`
 * and appends to `output`; output is written once per loop iteration, whatever was appended in it. Callbacks
 * may free the stream.
 *
 * Back-pressure: reading pauses while the owner says so (stream_pause); the owner looks at
 * stream_output_size(). */

#include "base/buffer.h"
#include "model/address.h"
#include "runtime/loop.h"

typedef struct Stream Stream;

typedef struct StreamCallbacks {
        void (*connected)(Stream *s, void *userdata); /* outgoing connection is up */
        void (*readable)(Stream *s, void *userdata);  /* new bytes in stream_input() */
        void (*half_closed)(
                        Stream *s, void *userdata); /* the peer will send no more; NULL: as ended with 0 */
        void (*ended)(Stream *s, int error,
                        void *userdata);            /* 0: closed by the peer; negative errno. Called once. */
        void (*drained)(Stream *s, void *userdata); /* all output is with the kernel; may be NULL */
} StreamCallbacks;

/* Takes over `fd` on success. */
int stream_new(Loop *loop, int fd, const StreamCallbacks *callbacks, void *userdata, Stream **ret);

/* Begins a connection. The host of TCP may be a name: its addresses are looked up and tried in turn. TCP
 * gets TCP_NODELAY, keepalive and TCP_USER_TIMEOUT of `silence_usec`. Failing at once and failing later both
 * come as `ended`, never from inside this call. */
int stream_connect(Loop *loop, const Address *address, uint64_t silence_usec,
                const StreamCallbacks *callbacks, void *userdata, Stream **ret);

/* A TCP socket gets TCP_NODELAY, keepalive and TCP_USER_TIMEOUT, so that a peer that has gone without a word
 * is found out after about so long. What a listening socket has, those that it accepts have, too. */
void stream_end_silence(int fd, uint64_t silence_usec);

Stream *stream_free(Stream *s); /* closes; nothing is called any more */
DEFINE_CLEANUP(Stream *, stream_free)

Buffer *stream_input(Stream *s);
Buffer *stream_output(Stream *s); /* after appending: stream_flush() */
void stream_flush(Stream *s);     /* arranges for the output to be written in this loop iteration */
size_t stream_output_size(const Stream *s);
void stream_pause(Stream *s, bool paused);
int stream_fd(const Stream *s);
