/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The client on D-Bus. docs/DBUS_API.md and dbus/ are the contract. A method reads and checks its arguments,
 * calls one function of the engine and answers.
 *
 *   manager                  the tables: methods, properties, who may call what; start and end
 *   object signals           message objects; what the engine tells us
 *   send dead drain query attempts   methods
 *   look-up wait             calls that wait for a message
 *   options guard read subscribe
 *   view                     how a message looks
 *   reply                    errors, and readers of arguments
 *
 * A file calls only those below it. */

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
typedef struct Guard Guard;
typedef struct Waiter Waiter;

typedef struct ClientBus {
        /* client-main */
        Client *client;
        bool system; /* which bus */

        /* bus/manager */
        sd_bus *bus; /* NULL before it is open and after it is closed */

        /* bus/signals */
        struct {
                bool named;     /* the bus name is ours */
                Message *dirty; /* their properties have changed in this iteration of the loop */
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
                size_t n_counted; /* those that wait for an end */
                Heap deadlines;
                Timer timer;
        } wait;

        /* bus/guard */
        struct {
                Guard *waiting; /* calls whose sender is being checked */
                unsigned n_waiting, next_trusted;
                char *trusted[TRUSTED_MAX]; /* connections of root and of our own user */
        } guard;

        /* bus/subscribe */
        struct {
                sd_bus_track *track; /* connections that want signals about messages */
        } subscribe;
} ClientBus;
