/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The client on a fake bus, with a discovery and a receiver that live in the same loop. The outbox is in a
 * temporary directory. Payloads tell the receiver what to do: "hold" (no answer), "fail", "reject", "work"
 * (says that it works); anything else is acked with the reply "done". */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/bus/connect.h"
#include "client/client.h"
#include "fake/bus.h"

#define RECEIVER_ID "7e5f0c1a-2b3c-4d5e-8f60-718293a4b5c6" /* 1@here, group "jobs", zone=a; it answers */
#define RECEIVER    "1"
#define AMBIGUOUS   "2" /* 2@there and 2@beyond: nobody listens there */
#define CALLER      ":1.7"
#define LOG_MAX     512u

typedef struct HttpExchange HttpExchange;
typedef struct HttpServer HttpServer;
typedef struct FakeReceiver FakeReceiver;

typedef struct Fixture {
        char directory[32];
        FakeBus *fake;
        Client client;
        ClientBus bus;
        bool closed;
        sd_bus *caller;
        const char *sender; /* of calls */

        HttpServer *discovery;
        unsigned list_status, drain_status, n_drains;
        int discovery_fd;
        FakeReceiver *receiver;

        /* What the bus and polkit say of a sender. */
        unsigned uid, gid;
        bool hold_credentials, no_credentials;
        const char *polkit_error;
        bool polkit_allows, polkit_could_ask;
        unsigned n_asked, n_polkit;
        bool was_interactive;
        bool hold_polkit;
        sd_bus_message *held; /* what polkit is asked and does not answer yet */

        char *signals[LOG_MAX]; /* "MessageEvent acked", "PropertiesChanged State", … */
        size_t n_signals;
} Fixture;

typedef struct Answer {
        bool done;
        sd_bus_message *m;
} Answer;

/* `system`: senders are checked. */
Fixture *fixture_new(bool system);
/* Without a discovery that answers: nobody is known. */
Fixture *fixture_new_alone(void);
void peers_start(Fixture *f); /* discovery and receiver, in bus-peers.c; the fixture does it */
void peers_end(Fixture *f);
void end_discovery(Fixture *f); /* nobody listens there any more */
/* Stops the client as the daemon does; the caller's connection stays. */
void fixture_stop(Fixture *f);
void fixture_free(Fixture *f);

/* Runs the loop until it is true. */
#define UNTIL(f, condition)                                                                                 \
        for (unsigned _n = 0; !(condition); _n++) {                                                         \
                assert_true(_n < 20000);                                                                    \
                fixture_iterate(f);                                                                         \
        }
void fixture_iterate(Fixture *f);

/* A method of the manager. `a` is done later. */
void start_call(Fixture *f, Answer *a, const char *member, const char *types, ...);
void start_message(Fixture *f, Answer *a, sd_bus_message *call); /* frees `call` */
/* A method of the object at `path`. */
void start_object_call(Fixture *f, Answer *a, const char *path, const char *interface, const char *member,
                const char *types, ...);
/* Waits for the answer: it must be a return. The caller frees it. */
sd_bus_message *finish(Fixture *f, Answer *a);
/* Waits for the answer: it must be org.ackgroup.Error.NAME, or `name` where that has a dot, and its text
 * holds `text`. */
void finish_failed(Fixture *f, Answer *a, const char *name, const char *text);

#define CALL(f, member, ...)                                                                                \
        ({                                                                                                  \
                Answer _a = {};                                                                             \
                start_call(f, &_a, member, __VA_ARGS__);                                                    \
                finish(f, &_a);                                                                             \
        })
#define FAILS(f, name, text, member, ...)                                                                   \
        do {                                                                                                \
                Answer _a = {};                                                                             \
                start_call(f, &_a, member, __VA_ARGS__);                                                    \
                finish_failed(f, &_a, name, text);                                                          \
        } while (0)

/* Sends text to any receiver of group "jobs", or to `receiver`. The id is for free(). */
char *send_text(Fixture *f, const char *mode, const char *target, const char *text);
/* Waits for the end of a message: it must be this state. */
void assert_end(Fixture *f, const char *id, const char *state);
char *path_of(Fixture *f, const char *id); /* of its object; for free() */
/* A property; for sd_bus_message_unref(). Entered, so the value can be read. */
sd_bus_message *get_property(Fixture *f, const char *path, const char *interface, const char *name);
void assert_property(
                Fixture *f, const char *path, const char *interface, const char *name, const char *expected);
bool has_signal(const Fixture *f, const char *text);
void forget_signals(Fixture *f);
void release_polkit(Fixture *f); /* it answers what it held */
/* The bus tells that a connection is gone. */
void leave(Fixture *f, const char *name);
