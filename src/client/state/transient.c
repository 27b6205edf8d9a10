/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/state/transient.h"

#include <errno.h>
#include <inttypes.h>

#include "client/state/message.h"

int memory_check(const Client *c, const Submission *s, Error *error)
{
        if (!s->memory)
                return 0;
        if (selector_mode_is_whole(s->mode) || s->idempotency_key || s->delay_usec > 0 ||
                        s->policy.start_usec > 0 || s->policy.deadline_usec > 0)
                return error_set(error, -EINVAL,
                                "durability: \"memory\" is for modes to, any and key, without "
                                "idempotency_key, "
                                "delay, at and deadline");
        if (c->memory_bytes + s->size > MEMORY_BYTES_MAX)
                return error_set(error, -EDQUOT, "messages of %zu bytes wait in memory already",
                                c->memory_bytes);
        return 0;
}

void memory_left(Message *m)
{
        if (m->memory)
                m->client->memory_bytes -= m->record.size;
        m->memory = false;
}

void memory_submit(Message *m, DbOp *op)
{
        Client *c = m->client;

        op->next = NULL;
        op->result = 0;
        *(c->memory_first ? c->memory_end : &c->memory_first) = op;
        c->memory_end = &op->next;
}

void memory_rest(Client *c)
{
        DbOp *op;

        /* What these lead to as well: nothing else may wake the loop. */
        while ((op = c->memory_first)) {
                c->memory_first = op->next;
                op->done(op, op->result);
        }
}
