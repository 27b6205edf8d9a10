/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads of the outbox for calls that only look. Anybody may make such calls, so few reads run at a time and
 * the others wait in turn: a sender waits behind no more than these few. */

#include "client/bus/bus.h"

struct BusRead {
        DbOp *op;
        sd_bus_message *call;
        BusRead *prev, *next;
};

/* Submits the operation now or in its turn. `op->done` calls bus_read_done() first. `r` and `call` live
 * until then. 0, or -EUSERS (too many wait) or -ESHUTDOWN. */
int bus_read(ClientBus *b, BusRead *r, DbOp *op, sd_bus_message *call);
void bus_read_done(ClientBus *b);
void bus_read_clear(ClientBus *b); /* those that wait get -ESHUTDOWN */
