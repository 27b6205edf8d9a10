/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/read.h"

#include <errno.h>
#include <utlist.h>

#include "base/str-util.h"

#define READS_AT_ONCE 4u
#define WAITING_MAX   1024u /* in total */
#define OF_CALLER_MAX 64u

static bool is_too_many(const ClientBus *b, const char *sender)
{
        unsigned n = 0, own = 0;

        for (const BusRead *r = b->read.waiting; r; r = r->next) {
                n++;
                own += str_equal(sd_bus_message_get_sender(r->call), sender);
        }
        return n >= WAITING_MAX || own >= OF_CALLER_MAX;
}

int bus_read(ClientBus *b, BusRead *r, DbOp *op, sd_bus_message *call)
{
        if (b->client->stopping)
                return -ESHUTDOWN;
        if (b->read.n_running < READS_AT_ONCE) {
                b->read.n_running++;
                db_submit(b->client->db, op);
                return 0;
        }
        if (is_too_many(b, sd_bus_message_get_sender(call)))
                return -EUSERS;
        r->op = op;
        r->call = call;
        DL_APPEND(b->read.waiting, r);
        return 0;
}

void bus_read_done(ClientBus *b)
{
        BusRead *r = b->read.waiting;

        b->read.n_running--;
        /* The client is stopping and reads nothing more. */
        if (!r || b->client->stopping)
                return;
        DL_DELETE(b->read.waiting, r);
        b->read.n_running++;
        db_submit(b->client->db, r->op);
}

void bus_read_clear(ClientBus *b)
{
        BusRead *all = b->read.waiting, *r, *next;

        b->read.waiting = NULL;
        DL_FOREACH_SAFE(all, r, next) {
                b->read.n_running++;
                r->op->done(r->op, -ESHUTDOWN);
        }
}
