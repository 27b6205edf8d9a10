/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads of the outbox for calls, most of which everybody may make. So only a few reads run
 * at a time, and the others wait in order. A sender waits for at most these few reads. */

#include "client/bus/bus.h"

struct BusRead {
        DbOp *op;
        sd_bus_message *call;
        BusRead *prev, *next;
};

/* Submits the operation now, or later in its turn. `op->done` must call bus_read_done() first. `r` and
 * `call` must stay valid until then. Returns 0, -EUSERS (too many calls wait) or -ESHUTDOWN. */
int bus_read(ClientBus *b, BusRead *r, DbOp *op, sd_bus_message *call);
void bus_read_done(ClientBus *b);
void bus_read_clear(ClientBus *b); /* waiting reads end with -ESHUTDOWN */
