/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Passes events of the engine to the journal, to subscribers as signals, and to waiting calls. */

#include "client/bus/bus.h"

ClientObserver bus_signals_observer(ClientBus *b);
void bus_signals_init(ClientBus *b);
void bus_signals_lost(ClientBus *b);      /* the connection is lost, and the name with it */
void bus_signals_connected(ClientBus *b); /* there is a new one: takes the name */
void bus_signals_clear(ClientBus *b);
