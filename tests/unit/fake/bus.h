/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A message bus between two connections of one process: the service, and the caller, which acts as all other
 * programs. The caller sets the sender of each message itself, and receives everything that the service
 * sends.
 *
 * A thread answers calls that sd-bus waits for, such as RequestName. Every other call to the bus, such as
 * GetConnectionCredentials, goes to the caller's connection. */

#include <systemd/sd-bus.h>

#define FAKE_BUS_SERVICE ":1.1"
#define FAKE_BUS_GONE    ":1.999" /* a name that nobody owns */
#define FAKE_BUS_UNKNOWN ":1.998" /* a name of which the bus does not say who owns it */

typedef struct FakeBus FakeBus;

/* Use both connections in the calling thread only. */
FakeBus *fake_bus_new(sd_bus **ret_service, sd_bus **ret_caller);
/* Close both connections first: the thread ends when the service's connection is closed. */
void fake_bus_free(FakeBus *f);
/* Sets the reply of RequestName from now on: 1 (the name is granted) or 3 (another program has it). */
void fake_bus_set_name_answer(FakeBus *f, unsigned answer);
/* Disconnects the service from the bus. */
void fake_bus_cut(FakeBus *f);
