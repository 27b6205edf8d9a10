/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/state/transient.h"

#include <errno.h>
#include <inttypes.h>

#include "client/state/message.h"

int transient_check(const Client *c, const Submission *s, Error *error)
{
        if (!s->transient)
                return 0;
        if (selector_mode_is_whole(s->mode) || s->idempotency_key || s->delay_usec > 0 ||
                        s->policy.start_usec > 0 || s->policy.deadline_usec > 0)
                return error_set(error, -EINVAL,
                                "durability: \"memory\" is for modes to, any and key, without "
                                "idempotency_key, "
                                "delay, at and deadline");
        if (c->transient.n_bytes + s->size > MEMORY_BYTES_MAX)
                return error_set(error, -EDQUOT, "messages of %zu bytes wait in memory already",
                                c->transient.n_bytes);
        return 0;
}

void transient_leave(Message *m)
{
        if (m->transient)
                m->client->transient.n_bytes -= m->record.size;
        m->transient = false;
}

void transient_submit(Message *m, DbOp *op)
{
        Client *c = m->client;

        op->next = NULL;
        op->result = 0;
        *(c->transient.first ? c->transient.end : &c->transient.first) = op;
        c->transient.end = &op->next;
}

void transient_run(Client *c)
{
        DbOp *op;

        /* What these lead to as well: nothing else may wake the loop. */
        while ((op = c->transient.first)) {
                c->transient.first = op->next;
                op->done(op, op->result);
        }
}
