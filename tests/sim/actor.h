/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The daemons of the simulated group. Each actor is one process that runs the real code of discovery, of a
 * client or of a receiver; the supervisor starts it again when it has ended, as systemd does. */

#include "base/error.h"
#include "runtime/loop.h"
#include "sim/observation.h"
#include "sim/plan.h"
#include "world/process.h"

#define ACTORS_MAX 32u /* with copies */

typedef enum Role { ROLE_DISCOVERY, ROLE_CLIENT, ROLE_RECEIVER } Role;

typedef struct Actor Actor;
struct Actor {
        Process *process;
        Role role;
        unsigned number;       /* of the client or of the receiver */
        const Actor *original; /* this one is a copy of it; or NULL */
        Machine *machine;
        char *directory;          /* of its state */
        char *socket, *tcp, *url; /* where it listens: unix:, tcp: and http: */
        unsigned reloads;         /* it has other values since a reload: the number they are drawn from */
        int (*main)(void *userdata);

        /* actor.c */
        unsigned held;       /* so many faults keep it down */
        uint64_t pause_usec; /* before its next start */
        uint64_t stop_usec;  /* of a SIGTERM: it stays down so long from its end; USEC_INFINITY: none */
        WorldCall *start;

        struct Callers *callers; /* caller.c: of a client */
};

typedef struct Sim {
        const Plan *plan;
        Machine *machines[MACHINES_MAX];
        Actor *actors[ACTORS_MAX]; /* by process_index() */
        unsigned n_actors;
        bool over; /* what ends now stays down */
} Sim;

/* The present run. */
extern Sim sim;

/* Makes machines and processes; starts them in any order during the first moments. */
void actors_begin(const Plan *plan);
void actors_stop(void); /* SIGTERM to all; nothing starts again */
bool actors_are_down(void *userdata);

Actor *actor_of_client(unsigned number);
/* A second process with a copy of the state of `a`. NULL: there are too many already. */
Actor *actor_copy(Actor *a);

/* While it is held it does not start. The last release starts it at once, if its machine is on. */
void actor_hold(Actor *a);
void actor_release(Actor *a);
void actor_start_soon(Actor *a); /* does nothing if nothing is to start it */
/* SIGTERM; it stays down for `usec` from its end. SIGKILL if it does not end in time. */
void actor_terminate(Actor *a, uint64_t usec);
void actors_power_on(Machine *m); /* the machine is on again: its actors start one after the other */

int discovery_main(void *actor);
int client_main(void *actor);
int receiver_main(void *actor);

/* A number from 0 to n - 1, drawn from the number of the reload and `what`; `n` - 1 without a reload. */
unsigned actor_vary(const Actor *a, unsigned what, unsigned n);
/* The URL of discovery for this actor, malloc'ed by the process; or NULL. */
char *actor_discovery(const Actor *a);
/* Logs why a daemon did not start. Returns its exit status. */
int actor_fail(const char *name, int r, const Error *error);
