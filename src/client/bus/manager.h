/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.ackgroup.Client1: the engine seen from D-Bus. Handlers read and check arguments, call one function of
 * the engine and answer; docs/DBUS_API.md and dbus/ are the contract. */

#include <systemd/sd-bus.h>

#include "client/client.h"
#include "client/state/message.h"

#define BUS_NAME          "org.ackgroup.Client1"
#define BUS_PATH          "/org/ackgroup/Client1"
#define MANAGER_INTERFACE "org.ackgroup.Client1.Manager"
#define MESSAGE_INTERFACE "org.ackgroup.Client1.Message"
#define MESSAGE_PATH      BUS_PATH "/message"
#define MESSAGE_PATH_MAX  (sizeof MESSAGE_PATH + 34)

typedef struct Guard Guard;
typedef struct Waiter Waiter;

#define TRUSTED_MAX 64u

/* A read of the outbox for a call, which waits for its turn. */
typedef struct BusRead {
        DbOp *op;
        sd_bus_message *call;
        struct BusRead *prev, *next;
} BusRead;

typedef struct ClientBus {
        Client client;
        bool system; /* which bus */

        sd_bus *bus;
        bool named;
        Message *dirty; /* whose properties have changed in this iteration of the loop */
        LoopWork flush;
        BusRead *reads; /* that wait for their turn */
        unsigned n_reading;
        Waiter *waiters;
        size_t n_waiters;
        Heap deadlines; /* of the waiters */
        Timer deadline_timer;
        Guard *guards; /* calls whose sender is being checked */
        unsigned n_guards, next_trusted;
        char *trusted[TRUSTED_MAX]; /* connections of root and of our own user */
        sd_bus_track *subscribers;  /* who wants signals; without any none is sent */
} ClientBus;

int client_bus_start(ClientBus *b, Error *error);
void client_bus_clear(ClientBus *b);

/* Answers with org.ackgroup.Error.NAME; for `return bus_fail(…)` in a handler. */
int bus_fail(sd_bus_message *call, const char *name, const char *format, ...) _printf_(3, 4);
/* What went wrong in finding a message by `id`. */
int bus_fail_look_up(sd_bus_message *call, const char *id, int r);

/* Calls fn for each string of an array in a variant. */
int bus_read_words(sd_bus_message *call, int (*fn)(const char *word, void *userdata, Error *error),
                void *userdata, Error *error);

/* client-bus-subscribe.c: who wants to hear of what happens */
int bus_subscribers_init(ClientBus *b);
bool bus_has_subscribers(const ClientBus *b);
int bus_method_subscribe(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_method_unsubscribe(sd_bus_message *call, void *userdata, sd_bus_error *error);

/* client-bus-guard.c: who may change something. `method` is called, with the ClientBus, when its sender may
 * do `action` (of org.ackgroup.client1). bus_method_guarded() does that for the methods of the manager. */
int bus_guard(ClientBus *b, sd_bus_message *call, const char *action, sd_bus_message_handler_t method);
int bus_method_guarded(sd_bus_message *call, void *userdata, sd_bus_error *error);
void bus_guards_clear(ClientBus *b);

/* client-bus-read.c: submits the operation at once or in its turn; its `done` calls bus_read_done() first.
 * -EUSERS: too many wait. */
int bus_read(ClientBus *b, BusRead *r, DbOp *op, sd_bus_message *call);
void bus_read_done(ClientBus *b);
void bus_reads_clear(ClientBus *b);
int bus_fail_too_many(sd_bus_message *call, int r); /* what -EUSERS is told as; else r */

/* client-bus-send.c */
int bus_method_send(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_method_send_text(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_method_open_stream(sd_bus_message *call, void *userdata, sd_bus_error *error);

/* client-bus-trace.c: what became of a message, in detail */
int bus_method_list_deliveries(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_method_list_attempts(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_method_explain(sd_bus_message *call, void *userdata, sd_bus_error *error);

/* client-bus-dead.c: dead letters */
int bus_method_retry(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_method_purge(sd_bus_message *call, void *userdata, sd_bus_error *error);

/* client-bus-drain.c: maintenance of a receiver, through discovery */
int bus_method_drain(sd_bus_message *call, void *userdata, sd_bus_error *error);

/* client-bus-message.c: the objects of messages */
int bus_messages_add(ClientBus *b);
const char *message_path(const Message *m, char buffer[static MESSAGE_PATH_MAX]);
const char *message_id(const Message *m, char buffer[static SD_ID128_UUID_STRING_MAX]);
const char *message_receiver_name(const Message *m);
uint64_t message_next_retry(const Message *m);         /* since the epoch; 0: none is planned */
uint32_t message_attempts(const OutboxRecord *record); /* with the one that is on its way */
int bus_wait_saved(
                ClientBus *b, Message *m, sd_bus_message *call); /* answers when what it is now is synced */
const char *message_problem(const Message *m); /* why it is not done yet, as far as known; "" */

/* client-bus-query.c: what only looks */
int bus_method_list_messages(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_method_list_receivers(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_method_get_message(sd_bus_message *call, void *userdata, sd_bus_error *error);

/* client-bus-wait.c: calls that are answered when something has happened to a message */
int bus_waits_init(ClientBus *b);
void bus_waits_clear(ClientBus *b);
int bus_method_wait(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_method_cancel(sd_bus_message *call, void *userdata, sd_bus_error *error);
int bus_wait_cancelled(ClientBus *b, Message *m, sd_bus_message *call); /* cancels, answers when synced */
void bus_wait_check(ClientBus *b, Message *m, bool saved);              /* something happened to it */
