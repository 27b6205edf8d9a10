/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Bulk submission (docs/PROTOCOL.md) as a program does it: a socket from OpenStream, frames on it. All
 * functions end the program when something fails. */

#include <systemd/sd-bus.h>

#include "base/buffer.h"
#include "wire/frame.h"

typedef struct BenchStream {
        int fd;
        Buffer in, out;
} BenchStream;

typedef struct StreamOptions {
        const char *mode, *target; /* NULL: "any", "" */
        bool durable, settlements;
        unsigned deadline; /* seconds from now; 0: none */
} StreamOptions;

/* Exits with 3 if this client does not know messages in memory, and such a stream is wanted. */
void stream_open(BenchStream *s, sd_bus *bus, const StreamOptions *options);

/* Waits up to a second until something can be moved, writes what is in `out`, and reads into `in`. */
void stream_move(BenchStream *s);
void stream_write(BenchStream *s); /* does not wait */

/* Takes the next frame off the front of `in`; false: it is not all there. The frame points into `in`, and is
 * valid until the next call of a function with this stream. */
bool stream_take(BenchStream *s, Frame *ret);

void stream_close(BenchStream *s);
