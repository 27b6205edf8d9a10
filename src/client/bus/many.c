/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/many.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/bus/filter.h"
#include "client/bus/read.h"
#include "client/bus/reply.h"
#include "client/bus/wait.h"
#include "client/engine/fanout.h"
#include "client/intake/purge.h"
#include "client/state/message.h"

/* So many operations at once. More would be one large transaction, for which everybody else waits, and
 * messages to several receivers are read whole. */
#define OPEN_MAX 64u

/* One call. */
typedef struct Many {
        OutboxFindOp find;
        BusRead read;
        ClientBus *bus;
        sd_bus_message *call;
        MessageFilter filter;
        int (*begin)(struct Many *many, Message *m);
        size_t n_begun; /* of the page */
        size_t n_open;  /* operations that have not ended */
        bool is_beginning;
        uint32_t n_done;
        int error; /* the last one; 0: none */
        char next[PAGE_NEXT_MAX];
} Many;

static void many_free(Many *many)
{
        outbox_records_free(many->find.records, many->find.n_records);
        sd_bus_message_unref(many->call);
        free(many);
}

static void reply(const Many *many)
{
        if (many->error == -ESHUTDOWN)
                (void) bus_fail(many->call, "Disconnected", "The client stops, after %u messages",
                                many->n_done);
        else if (many->error < 0)
                (void) bus_fail(many->call, "Storage", "After %u messages: %s", many->n_done,
                                strerror(-many->error));
        else
                (void) sd_bus_reply_method_return(many->call, "us", many->n_done, many->next);
}

static void go_on(Many *many);

static void on_done(int r, void *userdata)
{
        Many *many = userdata;

        many->n_open--;
        many->n_done += r >= 0;
        /* Something else happened to the message meanwhile. The call is not about it any more. */
        if (r < 0 && r != -EBUSY && r != -EALREADY && r != -ENOENT)
                many->error = r;
        go_on(many);
}

static int begin_retry(Many *many, Message *m)
{
        int r = message_revive(m);

        return r < 0 ? r : bus_wait_saved_then(many->bus, m, on_done, many);
}

static int begin_purge(Many *many, Message *m)
{
        return message_purge(m, on_done, many);
}

/* The record on disk may be old: a message in memory knows better. */
static int begin_one(Many *many, OutboxRecord *record)
{
        Message *m = message_find(many->bus->client, record->id);
        int r = m ? 0 : message_new(many->bus->client, record, &m);

        if (r < 0)
                return r;
        message_pin(m);
        message_announce(m);
        r = many->filter.states & (1u << m->record.state) ? many->begin(many, m) : -EBUSY;
        message_unpin(m);
        return r;
}

static void go_on(Many *many)
{
        if (many->is_beginning)
                return;
        many->is_beginning = true;
        while (many->n_open < OPEN_MAX && many->n_begun < many->find.n_records && many->error == 0) {
                many->n_open++;
                int r = begin_one(many, many->find.records + many->n_begun++);
                if (r < 0)
                        on_done(r, many);
        }
        many->is_beginning = false;
        if (many->n_open > 0)
                return;
        reply(many);
        many_free(many);
}

static void on_found(DbOp *op, int r)
{
        Many *many = CONTAINER_OF(CONTAINER_OF(op, OutboxFindOp, op), Many, find);

        bus_read_done(many->bus);
        bus_filter_next(&many->filter, many->find.records, many->find.n_records, many->next);
        many->error = MIN(r, 0);
        go_on(many);
}

static unsigned states_that(bool (*are)(DeliveryState s))
{
        unsigned states = 0;

        for (DeliveryState s = 0; s < _DELIVERY_STATE_MAX; s++)
                states |= (unsigned) are(s) << s;
        return states;
}

static int start(sd_bus_message *call, ClientBus *b, int (*begin)(Many *many, Message *m), unsigned allowed)
{
        Many *many = calloc(1, sizeof *many);
        Error error = {};
        int r;

        if (!many)
                return -ENOMEM;
        r = bus_read_message_filter(call, &many->filter, &error);
        if (many->filter.states == 0)
                many->filter.states = states_that(delivery_state_is_dead_letter);
        if (r >= 0 && (many->filter.states & ~allowed))
                r = error_set(&error, -EINVAL, "states: only those of messages that this can be done with");
        if (r < 0) {
                many_free(many);
                return bus_fail_argument(call, r, &error);
        }
        many->bus = b;
        many->begin = begin;
        outbox_find_op_init(&many->find, OUTBOX_NEWEST, many->filter.limit);
        many->find.number = many->filter.before;
        many->find.states = many->filter.states;
        many->find.op.done = on_found;
        many->call = sd_bus_message_ref(call);
        r = bus_read(b, &many->read, &many->find.op, call);
        if (r >= 0)
                return 1;
        many_free(many);
        return bus_fail_too_many(call, r);
}

int bus_method_retry_many(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        return start(call, userdata, begin_retry, states_that(delivery_state_is_dead_letter));
}

int bus_method_purge_many(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        return start(call, userdata, begin_purge, states_that(delivery_state_is_final));
}
