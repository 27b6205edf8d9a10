/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <utlist.h>

#include "base/str-util.h"
#include "client/bus/manager.h"

/* Calls that only look, and need the disk for it: anybody may make them. A few read at a time, the others in
 * turn, so that whoever sends waits for no more than these. */

#define READS_AT_ONCE 4u
#define WAITING_MAX   1024u /* in total and of one caller */
#define OF_CALLER_MAX 64u

static bool is_too_many(const ClientBus *b, const char *sender)
{
        unsigned n = 0, own = 0;

        for (const BusRead *r = b->reads; r; r = r->next) {
                n++;
                own += str_equal(sd_bus_message_get_sender(r->call), sender);
        }
        return n >= WAITING_MAX || own >= OF_CALLER_MAX;
}

int bus_read(ClientBus *b, BusRead *r, DbOp *op, sd_bus_message *call)
{
        if (b->n_reading < READS_AT_ONCE) {
                b->n_reading++;
                db_submit(b->client.db, op);
                return 0;
        }
        if (is_too_many(b, sd_bus_message_get_sender(call)))
                return -EUSERS;
        r->op = op;
        r->call = call;
        DL_APPEND(b->reads, r);
        return 0;
}

void bus_read_done(ClientBus *b)
{
        BusRead *r = b->reads;

        b->n_reading--;
        if (!r)
                return;
        DL_DELETE(b->reads, r);
        b->n_reading++;
        db_submit(b->client.db, r->op);
}

int bus_fail_too_many(sd_bus_message *call, int r)
{
        return r == -EUSERS ? sd_bus_reply_method_errorf(call, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                              "Too many calls are waiting already")
                            : r;
}

void bus_reads_clear(ClientBus *b)
{
        BusRead *all = b->reads, *r, *next;

        b->reads = NULL;
        DL_FOREACH_SAFE(all, r, next) {
                b->n_reading++;
                r->op->done(r->op, -ESHUTDOWN);
        }
}
