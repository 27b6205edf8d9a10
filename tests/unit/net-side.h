/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "runtime/connection.h"
#include "runtime/listen.h"
#include "runtime/watch.h"
#include "world/inside.h"
#include "world/net.h"

#define SILENCE_USEC (4 * USEC_PER_SEC)

/* One side: a process that listens, or connects, and notes what it sees. The test gives it work. */
typedef struct Side {
        Process *process;
        Loop *loop;
        const char *address;
        bool listens, does_not_read;
        void (*work)(struct Side *s);
        Source source;
        Owned owned;
        ListenerSet listeners;
        Watch watch;
        Connection *connection;
        unsigned n_connected, n_ended, n_drained, n_reads;
        int error, opened;
        uint64_t at; /* of the last callback */
        size_t n_read, n_largest;
        bool in_order;
} Side;

void side_start(Side *s);                        /* connects, or listens, at its address */
void side_do(Side *s, void (*work)(Side *side)); /* in its process; waits a moment */
void side_write(Side *s, size_t n);              /* bytes that go on counting */
void side_hang_up(Side *s);
void side_open(Side *s, const char *address);
void run_for(uint64_t usec);

extern size_t side_written; /* so many bytes went before */
