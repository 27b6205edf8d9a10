/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Passes events of the engine to the journal, to subscribers as signals, and to waiting calls. */

#include "client/bus/bus.h"

ClientObserver bus_signals_observer(ClientBus *b);
void bus_signals_init(ClientBus *b);
/* The connection to the bus is lost; there is a new one, which takes the name again. */
void bus_signals_lost(ClientBus *b);
void bus_signals_connected(ClientBus *b);
void bus_signals_clear(ClientBus *b);
