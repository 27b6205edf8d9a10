/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A message bus between two connections of one process. One is the service. The other is everybody else: it
 * sets the sender of each message itself, and gets all that the service sends.
 *
 * Calls that sd-bus waits for, such as RequestName, are answered by a thread. Every other call to the bus,
 * such as GetConnectionCredentials, goes to the caller's connection. */

#include <systemd/sd-bus.h>

#define FAKE_BUS_SERVICE ":1.1"
#define FAKE_BUS_GONE    ":1.999" /* a name that nobody owns */

typedef struct FakeBus FakeBus;

/* Both connections are for the calling thread. */
FakeBus *fake_bus_new(sd_bus **ret_service, sd_bus **ret_caller);
/* The thread ends when the service's connection is closed; close both before. */
void fake_bus_free(FakeBus *f);
/* What RequestName answers from now on: 1 (you have it), or 3 (somebody else has). */
void fake_bus_set_name_answer(FakeBus *f, unsigned answer);
/* The bus ends, as the service sees it. */
void fake_bus_cut(FakeBus *f);
