/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where something listens, or has listened. For the files of the world. */

#include <uthash.h>

#include "world/inside.h"

typedef struct HttpServer HttpServer;
typedef struct HttpExchange HttpExchange;

/* The world keeps it when nobody listens any more. */
typedef struct Bound {
        char key[ADDRESS_STRING_MAX + 24]; /* the address; of TCP on a machine with its name before it */
        char address[ADDRESS_STRING_MAX];
        Machine *machine;
        Process *process; /* that listens, or did last; NULL: a test */
        Owned owned;
        int fd;        /* -1: nobody listens */
        bool has_file; /* of a Unix socket */
        bool is_kept;  /* systemd holds it */
        TestSocket **pending;
        size_t first_pending, n_pending, n_allocated;
        HttpServer *server;    /* NULL: there is none */
        HttpExchange *waiting; /* requests that no server has taken */
        UT_hash_handle hh;
} Bound;

/* What `from` reaches at an address; NULL: nobody has ever listened there. *ret_to (may be NULL): the
 * machine that has it; NULL: of none. Names of hosts are not looked up. */
Bound *bound_find(Machine *from, const Address *address, Machine **ret_to);
Bound *bound_of_fd(int fd);         /* NULL: it is no listener */
bool bound_is_open(const Bound *b); /* a connect succeeds; NULL is fine */
bool bound_is_full(const Bound *b);
void bound_power_off(Machine *m);
void bound_world_end(void);

/* http-server.c: what waits is lost. */
void http_drop_waiting(Bound *b);
