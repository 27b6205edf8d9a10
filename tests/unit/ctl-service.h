/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A bus and a client on it, played by a thread: what ackctl calls is written down, and answered as the test
 * says. */

#include <systemd/sd-bus.h>

#include "base/macro.h"

typedef struct Service Service;

/* Answers a call, or leaves it without an answer (0 returned). Runs in the thread of the service. Negative
 * errno: the error is answered. */
typedef int (*ServiceMethod)(Service *s, sd_bus_message *call);

typedef struct ServiceMethods {
        const char *member;
        ServiceMethod method;
} ServiceMethods;

struct Service {
        const ServiceMethods *methods; /* ends with one without a member; others are unknown */
        void *userdata;                /* of the test; touched by the thread while it runs */
        sd_event *event;               /* the thread's */
        sd_bus *bus;                   /* the connection of ackctl that came last */
};

/* Listens on a socket that $DBUS_SYSTEM_BUS_ADDRESS names from now on. */
Service *service_start(const ServiceMethods *methods, void *userdata);

/* Ends the thread; what was called: a line for each, "Send any|blue|hello|priority=5". Malloc'ed. */
char *service_stop(Service *s);

/* For methods. */
int service_emit_event(Service *s, const char *id, const char *event, uint32_t attempt, const char *receiver,
                const char *detail);
int service_emit(Service *s, const char *member, const char *a, const char *b, const char *c);
int service_later(Service *s, uint64_t usec, void (*fn)(Service *s)); /* once */
