/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An HTTP request on its way to a server, and its answer on the way back. It may live longer than the
 * request of the client, since a server does not notice that its client has gone. For the files of the
 * world. */

#include "runtime/lookup.h"
#include "world/http.h"
#include "world/scheduler.h"

typedef struct Trip Trip;

struct Trip {
        TestRequest seen; /* the test's view of it */
        Process *process;
        bool is_of_test; /* no machine has the server */
        Address server;
        LookupAnswer found; /* the addresses of a name */
        unsigned next;
        WorldCall step;
        unsigned n_sent;
        bool is_connected;
        bool is_at_server; /* it will be answered */
        bool is_lost;      /* the answer will not arrive */
        bool is_held;      /* the answer waits for a link */
        bool has_answer;
        int status; /* or a negative errno */
        char *body;
        size_t size;
        void (*changed)(void *userdata); /* NULL: the client has given up */
        void *userdata;
        Trip *prev, *next_trip;
};

/* Copies `input`. `changed` is called when it has connected, and when it has an answer. */
Trip *trip_new(const Address *server, const HttpInput *input, void (*changed)(void *userdata),
                void *userdata);
void trip_begin(Trip *t);
void trip_answer(Trip *t, int status, const void *body, size_t size);
void trip_leave(Trip *t); /* the client has its answer, or has given up */
