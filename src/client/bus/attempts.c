/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/str-util.h"
#include "client/bus/manager.h"
#include "client/intake/explain.h"
#include "client/link/peers.h"

/* A call about one message: it is looked up first, then more of it is read from the disk. */
typedef struct Query {
        ClientBus *bus;
        sd_bus_message *call;
        BusRead read;
        OutboxFindOp find;
        OutboxAttemptsOp attempts;
} Query;

static void query_free(Query *q)
{
        outbox_records_free(q->find.records, q->find.n_records);
        outbox_attempts_free(q->attempts.attempts);
        sd_bus_message_unref(q->call);
        free(q);
}

static void fail(Query *q, int r)
{
        const char *id = "";

        (void) sd_bus_message_rewind(q->call, true);
        (void) sd_bus_message_read(q->call, "s", &id);
        (void) bus_fail_look_up(q->call, id, r);
        query_free(q);
}

static int look_up(sd_bus_message *call, ClientBus *b, void (*found)(Message *m, int r, void *userdata))
{
        Query *q = calloc(1, sizeof *q);
        const char *id;
        int r;

        if (!q)
                return -ENOMEM;
        r = sd_bus_message_read(call, "s", &id);
        if (r < 0) {
                free(q);
                return r;
        }
        q->bus = b;
        q->call = sd_bus_message_ref(call);
        message_look_up(&b->client, id, found, q);
        return 1;
}

static void read_for(Query *q, DbOp *op)
{
        int r = bus_read(q->bus, &q->read, op, q->call);

        if (r >= 0)
                return;
        (void) bus_fail_too_many(q->call, r);
        query_free(q);
}

static void send_reply(Query *q, sd_bus_message *reply, int r)
{
        if (r >= 0)
                (void) sd_bus_send(q->bus->bus, reply, NULL);
        else
                (void) sd_bus_reply_method_errno(q->call, r, NULL);
        sd_bus_message_unref(reply);
        query_free(q);
}

/* Deliveries: one, or one for each member. */

static int append_delivery(sd_bus_message *reply, Client *c, const OutboxRecord *stored)
{
        const Message *m = message_find_member(c, stored->id, stored->member);
        const OutboxRecord *record = m ? &m->record : stored;
        char id[SD_ID128_UUID_STRING_MAX];
        const char *addressed = str_after_prefix(record->queue, "to/");
        bool bound = !sd_id128_is_null(record->receiver);
        int r;

        r = sd_bus_message_open_container(reply, 'r', "sssutttsay");
        if (r >= 0)
                r = sd_bus_message_append(reply, "sssuttts",
                                bound ? sd_id128_to_uuid_string(record->receiver, id) : addressed ?: "",
                                record->receiver_name, delivery_state_to_string(record->state),
                                message_attempts(record), record->sent_usec, record->settled_usec,
                                m ? message_next_retry(m) : 0, m ? message_problem(m) : record->error ?: "");
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', record->reply, record->reply_size);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static void reply_deliveries(Query *q, const OutboxRecord *records, size_t n)
{
        sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(q->call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(sssutttsay)");
        for (size_t i = 0; i < n && r >= 0; i++)
                r = append_delivery(reply, &q->bus->client, records + i);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        send_reply(q, reply, r);
}

static void on_members(DbOp *op, int r)
{
        Query *q = CONTAINER_OF(CONTAINER_OF(op, OutboxFindOp, op), Query, find);

        bus_read_done(q->bus);
        if (r < 0)
                fail(q, r);
        else
                reply_deliveries(q, q->find.records, q->find.n_records);
}

static void on_found_deliveries(Message *m, int r, void *userdata)
{
        Query *q = userdata;

        if (r < 0) {
                fail(q, r);
                return;
        }
        if (!m->fanout) {
                reply_deliveries(q, &m->record, 1);
                return;
        }
        outbox_find_op_init(&q->find, OUTBOX_MEMBERS, MEMBERS_MAX);
        q->find.number = m->record.number;
        q->find.op.done = on_members;
        read_for(q, &q->find.op);
}

int bus_method_list_deliveries(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        return look_up(call, userdata, on_found_deliveries);
}

/* Tries that did not end well. */

static void on_attempts(DbOp *op, int r)
{
        Query *q = CONTAINER_OF(CONTAINER_OF(op, OutboxAttemptsOp, op), Query, attempts);
        sd_bus_message *reply = NULL;

        bus_read_done(q->bus);
        if (r < 0) {
                fail(q, r);
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
        send_reply(q, reply, r);
}

static void on_found_attempts(Message *m, int r, void *userdata)
{
        Query *q = userdata;

        if (r < 0) {
                fail(q, r);
                return;
        }
        outbox_attempts_op_init(&q->attempts);
        q->attempts.number = m->record.number;
        q->attempts.op.done = on_attempts;
        read_for(q, &q->attempts.op);
}

int bus_method_list_attempts(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        return look_up(call, userdata, on_found_attempts);
}

/* Why it is not done. */

static void on_found_to_explain(Message *m, int r, void *userdata)
{
        Explanation e = {};
        Query *q = userdata;

        if (r < 0) {
                fail(q, r);
                return;
        }
        explain(m, &e);
        (void) sd_bus_reply_method_return(q->call, "ss", e.why, e.advice);
        query_free(q);
}

int bus_method_explain(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        return look_up(call, userdata, on_found_to_explain);
}
