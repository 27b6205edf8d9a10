/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Callers of a client. They use it as its bus does: their code runs in the process of the client, from its
 * loop. While the client is down their calls wait for its next start, as calls wait for a service that the
 * bus activates; after some time the callers give up. */

#include "client/client.h"
#include "client/intake/submit.h"
#include "sim/actor.h"
#include "world/inside.h"

typedef struct Callers Callers;
typedef struct Request Request;
typedef struct Sending Sending;

/* A call that somebody makes as soon as the client runs. Its owner embeds it by value. */
struct Request {
        void (*run)(Request *q, Client *c); /* in the process */
        void (*give_up)(Request *q);        /* the client did not run in time; may be NULL */
        Callers *callers;
        WorldCall *patience;
        bool waiting;
        Request *prev, *next;
};

struct Callers {
        Actor *actor;

        /* caller.c */
        Client *client;                          /* NULL: it does not run */
        bool loaded;                             /* calls are served */
        void (*ended)(Message *m, bool durable); /* the client's own */
        Source source;
        Owned owned;
        Request *requests;

        Sending *in_flight;       /* caller-send.c: handed over, not answered */
        struct Waiter *waiters;   /* caller-request.c: calls that wait for a sync; in the process */
        unsigned n_insist;        /* dead letters that are still retried at once */
        struct Program *programs; /* caller-bulk.c */
};

Callers *callers_new(Actor *a);

/* In the process of the client, between client_start() and loop_run(): reports what is in the outbox, then
 * serves requests. */
void callers_begin(Callers *s, Client *c);
void callers_end(Callers *s);                 /* behind loop_run() */
extern const ClientObserver callers_observer; /* its userdata must be set to the Callers */
/* The process has ended: what was not answered is lost. */
void callers_client_ended(Callers *s);

void request_put(Request *q);
void request_cancel(Request *q);

/* caller-load.c */
void callers_load(Callers *s, Client *c);
void callers_loaded(Callers *s);

/* caller-send.c */
void senders_begin(void);
void caller_send(const Step *step);
void sendings_lose(Callers *s);
/* The id with which the message of that number was accepted; null: it was not, as far as callers know. */
sd_id128_t sending_id(unsigned number);
void sending_note(unsigned number, sd_id128_t id);
void submission_fill(Submission *s, const Actor *client, const PlannedMessage *m);

#define KEY_TEXT_MAX 32u
const char *ordering_key(unsigned key, char ret[static KEY_TEXT_MAX]);
const char *idempotency_key(const Actor *client, unsigned number, char ret[static KEY_TEXT_MAX]);

/* The payload of a message; it lives until the next call. */
Bytes payload_make(const PlannedMessage *m);
/* The plan of the message with this number, also of one in a bulk; NULL: there is none. */
const PlannedMessage *message_planned(uint64_t number, void *userdata);

/* caller-request.c. Each call is observed when it takes effect (`detail` 0), and when it is answered (1). */
void caller_cancel(const Step *step);
void caller_revive(const Step *step);
void caller_purge(const Step *step);
void caller_insist(const Step *step);
void caller_hears_of_end(Callers *s, const Message *m);
void waiters_check(Callers *s, Message *m); /* a change of it is synced */
/* An administrator drains a receiver, or resumes it. Repeats it until discovery has done it; the newest word
 * counts. */
void caller_drain(unsigned receiver, bool drain);
void drains_begin(void);
void drains_resume_all(void);

/* caller-bulk.c */
void caller_bulk(const Step *step);
PlannedMessage bulk_message(const Step *step, unsigned i); /* the i-th message of a bulk, from 0 */
void programs_lose(Callers *s);
