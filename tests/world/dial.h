/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How a process on a machine connects: looks a name up, and tries one address after the other. For the files
 * of the world. */

#include "runtime/lookup.h"
#include "world/socket.h"

/* Its owner embeds it. */
typedef struct Dial {
        Loop *loop;
        Process *process;
        Address address; /* that is tried now */
        uint64_t silence_usec;
        Lookup *lookup;
        unsigned n_endpoints, next_endpoint;
        Endpoint *endpoints; /* of a name; memory of the world */
        WorldCall step, deadline;
        unsigned n_sent;
        bool is_settled; /* this address: `error`, or `socket` */
        int error;
        TestSocket *socket;
} Dial;

/* Its process is woken when it is settled. 0 or negative errno. */
int dial_begin(Dial *d, Loop *loop, const Address *address, uint64_t silence_usec);
/* After an address has failed. False: there is no other one. */
bool dial_next(Dial *d);
void dial_end(Dial *d); /* an established socket stays */
