/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The D-Bus interface of the client. docs/DBUS_API.md and dbus/ define it. A method reads and checks its
 * arguments, calls one function of the engine and sends the reply.
 *
 *   connect                  the connection to the bus: start, loss, end
 *   manager                  the tables of methods, properties and permissions
 *   object signals           message objects; events of the engine
 *   send dead many drain query receivers attempts deliveries   methods
 *   look-up wait             calls that wait for a message
 *   options guard read filter subscribe
 *   caller                   callers for which the client keeps something
 *   view                     the D-Bus form of a message
 *   reply                    error replies, and readers of arguments
 *
 * A file calls only files that stand below it in this list. */

#include <systemd/sd-bus.h>

#include "client/state/types.h"

#define BUS_NAME          "org.ackgroup.Client1"
#define BUS_PATH          "/org/ackgroup/Client1"
#define MANAGER_INTERFACE "org.ackgroup.Client1.Manager"
#define MESSAGE_INTERFACE "org.ackgroup.Client1.Message"
#define MESSAGE_PATH      BUS_PATH "/message"
#define MESSAGE_PATH_MAX  (sizeof MESSAGE_PATH + 34)

#define TRUSTED_MAX 64u

typedef struct BusRead BusRead;
typedef struct Caller Caller;
typedef struct CallerItem CallerItem;
typedef struct Guard Guard;
typedef struct Subscriber Subscriber;
typedef struct Waiter Waiter;

typedef struct ClientBus {
        /* client-main */
        Client *client;
        bool system; /* true: the system bus; false: the user's bus */

        /* bus/connect */
        sd_bus *bus; /* NULL while there is none: calls on it return an error then */
        struct {
                bool attached;  /* client_bus_attach() was called */
                Timer timer;    /* until the next try */
                uint64_t pause; /* µs, before the next try */
        } connect;

        /* bus/signals */
        struct {
                sd_bus_slot *name_question;
                bool named;     /* the bus name is ours */
                Message *dirty; /* messages whose properties changed in this iteration of the loop */
                LoopWork flush;
        } signals;

        /* bus/read */
        struct {
                BusRead *waiting;
                unsigned n_running;
        } read;

        /* bus/wait */
        struct {
                Waiter *all;
                size_t n_counted; /* waiters for the end of a message */
                Heap deadlines;
                Timer timer;
        } wait;

        /* bus/guard */
        struct {
                Guard *waiting; /* calls whose sender is not checked yet */
                unsigned n_waiting, next_trusted;
                char *trusted[TRUSTED_MAX]; /* bus connections of root and of the client's user */
        } guard;

        /* bus/subscribe */
        struct {
                Subscriber *by_name; /* bus connections that have subscribed to signals about messages */
        } subscribe;

        /* bus/caller */
        struct {
                Caller *by_name;
                sd_bus_slot *match; /* while there are callers */
                bool told;          /* the match is in force */
                bool refused;       /* the bus did not take it */
        } callers;
} ClientBus;
