/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Host name → addresses, without stopping the loop: the system's resolver blocks, so each lookup has a
 * thread of its own, which shares nothing with the caller but a socket for the answer. */

#include <sys/socket.h>

#include "model/address.h"
#include "runtime/loop.h"

#define LOOKUP_MAX 6u /* addresses of one name; the rest is not tried */

typedef struct Endpoint {
        struct sockaddr_storage address;
        socklen_t size;
} Endpoint;

typedef struct LookupAnswer {
        int error; /* 0, or a negative errno: nothing found is -EHOSTUNREACH */
        unsigned n;
        Endpoint endpoints[LOOKUP_MAX];
} LookupAnswer;

typedef struct Lookup Lookup;

/* `done` is called once, from the loop, and may free the lookup. */
int lookup_start(Loop *loop, const Address *address,
                void (*done)(const LookupAnswer *answer, void *userdata), void *userdata, Lookup **ret);
Lookup *lookup_free(Lookup *l); /* nothing is called any more */
