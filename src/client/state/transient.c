/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/state/transient.h"

void transient_enter(Message *m)
{
        m->transient = true;
        m->client->transient.n_bytes += m->record.size;
}

void transient_leave(Message *m)
{
        if (m->transient)
                m->client->transient.n_bytes -= m->record.size;
        m->transient = false;
}

void transient_submit(Client *c, DbOp *op)
{
        op->next = NULL;
        op->result = 0;
        *(c->transient.first ? c->transient.end : &c->transient.first) = op;
        c->transient.end = &op->next;
}

void transient_run(Client *c)
{
        DbOp *op;

        /* Includes operations that a `done` submits, because nothing else may wake the loop. */
        while ((op = c->transient.first)) {
                c->transient.first = op->next;
                op->done(op, op->result);
        }
}
