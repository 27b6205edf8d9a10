/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Bus connections for which the client keeps something: a call that waits, a subscription. It ends when the
 * connection leaves the bus. libsystemd's sd_bus_track would ask the bus for each of them, and wait for the
 * answer. */

#include "client/bus/bus.h"

typedef struct Caller {
        ClientBus *bus;
        char *name;       /* on the bus; never used again */
        unsigned n_waits; /* bus/wait: its calls that wait for the end of a message */
        CallerItem *items;
        sd_bus_slot *question; /* to the bus: is it still there? NULL: no question is open */
        UT_hash_handle hh;
} Caller;

/* What is kept for a caller. Its owner embeds it by value. */
struct CallerItem {
        Caller *caller; /* NULL: it has left, or the call did not come from a bus */
        /* The caller has left; `caller` is NULL already. */
        void (*gone)(CallerItem *item, void *userdata);
        void *userdata;
        CallerItem *prev, *next;
};

/* `item` is zeroed but for `gone` and `userdata`. 0 or negative errno. */
int bus_caller_keep(ClientBus *b, sd_bus_message *call, CallerItem *item);
void bus_callers_leave(ClientBus *b); /* all of them: the connection to the bus is lost */
/* Safe on a zeroed item, and twice. */
void bus_caller_release(CallerItem *item);
