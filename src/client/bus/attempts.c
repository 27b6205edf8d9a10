/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/attempts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str-util.h"
#include "client/bus/look-up.h"
#include "client/bus/read.h"
#include "client/bus/reply.h"
#include "client/intake/explain.h"

/* A call that needs more data of a message from the disk. */
typedef struct Query {
        ClientBus *bus;
        sd_bus_message *call;
        BusRead read;
        OutboxAttemptsOp attempts;
} Query;

static int query_new(ClientBus *b, sd_bus_message *call, Query **ret)
{
        Query *q = calloc(1, sizeof *q);

        if (!q)
                return -ENOMEM;
        q->bus = b;
        q->call = sd_bus_message_ref(call);
        *ret = q;
        return 0;
}

static void query_free(Query *q)
{
        outbox_attempts_free(q->attempts.attempts);
        sd_bus_message_unref(q->call);
        free(q);
}

static int query_read(Query *q, DbOp *op)
{
        int r = bus_read(q->bus, &q->read, op, q->call);

        if (r >= 0)
                return 1;
        r = bus_fail_too_many(q->call, r);
        query_free(q);
        return r;
}

static void on_attempts(DbOp *op, int r)
{
        Query *q = CONTAINER_OF(CONTAINER_OF(op, OutboxAttemptsOp, op), Query, attempts);
        sd_bus_message *reply = NULL;

        bus_read_done(q->bus);
        if (r < 0) {
                (void) bus_fail_look_up(q->call, r);
                query_free(q);
                return;
        }
        r = sd_bus_message_new_method_return(q->call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(usuttss)");
        for (const OutboxAttempt *a = q->attempts.attempts; a && r >= 0; a = a->next)
                r = sd_bus_message_append(reply, "(usuttss)", a->member, a->receiver_name, a->attempt,
                                a->sent_usec, a->ended_usec, a->outcome, a->detail);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        bus_send_reply(q->call, reply, r);
        query_free(q);
}

static int list_attempts(ClientBus *b, Message *m, sd_bus_message *call)
{
        Query *q;
        int r = query_new(b, call, &q);

        if (r < 0)
                return r;
        outbox_attempts_op_init(&q->attempts);
        q->attempts.number = m->record.number;
        q->attempts.op.done = on_attempts;
        return query_read(q, &q->attempts.op);
}

int bus_method_list_attempts(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        return bus_look_up(userdata, call, list_attempts);
}

static int explain_message(ClientBus *b, Message *m, sd_bus_message *call)
{
        _cleanup_free_ char *why = NULL, *advice = NULL;
        Explanation e;

        explain(m, &e);
        /* They quote texts of others, and may be cut within a character. */
        why = str_printable(e.why, strlen(e.why), sizeof e.why);
        advice = str_printable(e.advice, strlen(e.advice), sizeof e.advice);
        return why && advice ? sd_bus_reply_method_return(call, "ss", why, advice) : -ENOMEM;
}

int bus_method_explain(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        return bus_look_up(userdata, call, explain_message);
}
