/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Looks up the addresses of a host name without blocking the loop. The resolver of the system blocks, so
 * each lookup has a thread, which shares nothing with the caller but a socket for the answer. */

#include <sys/socket.h>

#include "model/address.h"
#include "runtime/loop.h"

#define LOOKUP_MAX 6u /* addresses of one name; more are ignored */

typedef struct Endpoint {
        struct sockaddr_storage address;
        socklen_t size;
} Endpoint;

typedef struct LookupAnswer {
        int error; /* 0 or a negative errno; -EHOSTUNREACH: no address was found */
        unsigned n;
        Endpoint endpoints[LOOKUP_MAX];
} LookupAnswer;

typedef struct Lookup Lookup;

/* `done` is called once, from the loop, and may free the lookup. 0 or negative errno; then it is not called.
 */
int lookup_start(Loop *loop, const Address *address,
                void (*done)(const LookupAnswer *answer, void *userdata), void *userdata, Lookup **ret);
Lookup *lookup_free(Lookup *l); /* `done` is not called any more; NULL is fine; returns NULL */
