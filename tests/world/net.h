/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The network between the machines of a world. Bytes arrive in order, after a delay, cut at any place. HTTP
 * requests and answers travel over the same links. Inside a machine (Unix sockets, its own TCP address) the
 * link from the machine to itself is used. */

#include "world/process.h"

typedef struct NetLink {
        uint64_t delay_min_usec, delay_max_usec; /* of each piece of bytes */
        unsigned piece_max; /* bytes that arrive at once are cut into pieces of up to so many; 0: not cut */
        bool down;          /* nothing arrives; what was sent arrives when the link is up again */
} NetLink;

/* One direction. A new link has no delay and is up. Bytes on the way keep their time, except that nothing
 * arrives while the link is down. Connections over a link that is down end with -ETIMEDOUT at the side that
 * waits, after the silence that it has set; new ones fail with -ETIMEDOUT (the real kernel: SYN lost). */
void net_set(Machine *from, Machine *to, const NetLink *link);

/* How many bytes the kernels take for a reader that does not read, drawn for each new connection. 200 KiB
 * unless it is set. */
void net_set_room(size_t min, size_t max);

/* Resets all connections between two processes (`b` NULL: all of `a`). Bytes on the way are lost. Returns
 * their number. */
unsigned net_reset(Process *a, Process *b);
/* From now on the bytes that `from` writes on its present connections to `to` are lost, but nobody notices
 * (half-open). Returns their number. */
unsigned net_blackhole(Process *from, Process *to);
/* What `from` writes on its present connections to `to` arrives after this time at the earliest. */
void net_stall(Process *from, Process *to, uint64_t usec);
/* The HTTP answers to the next `n` requests of this process are lost: it times out. */
void net_lose_answers(Process *p, unsigned n);

/* Sockets that systemd holds: they stay open while the process is down, and a connect succeeds, but nobody
 * answers until the process listens there again. Without this a connect is refused. `address` is no
 * wildcard. */
void net_keep_listening(const char *address, bool keep);

/* Host names of TCP addresses. `ips`: NULL-terminated; NULL: the look-up fails. Takes `delay_usec`. */
void net_set_name(const char *name, const char *const *ips, uint64_t delay_usec);

typedef enum NetEventKind {
        NET_OPENED,    /* `from` has connected to `to` */
        NET_QUEUED,    /* `from` handed `size` more bytes to its connection, which writes them when it can */
        NET_WRITTEN,   /* `from` handed bytes to its kernel */
        NET_DELIVERED, /* `to` has read them */
        NET_ENDED,     /* of `from`'s end: closed by it, or gone with it. `error`: 0 or a negative errno */
} NetEventKind;

typedef struct NetEvent {
        NetEventKind kind;
        uint64_t at;         /* CLOCK_BOOTTIME */
        uint64_t connection; /* a number, from 1 */
        Process *from, *to; /* NULL: the test, or a process that has never run (systemd holds its address) */
        const char *address; /* at which `to` listens */
        const void *data;
        size_t size;
        int error;
} NetEvent;

/* Called for each event of each connection (not for HTTP). */
void net_tap(void (*fn)(const NetEvent *e, void *userdata), void *userdata);
