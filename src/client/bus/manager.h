/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The objects of org.ackgroup.Client1: their methods, properties, and who may call what. */

#include "client/bus/bus.h"

int manager_add_objects(ClientBus *b); /* to b->bus, for as long as it lives; 0 or negative errno */
