/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/query.h"

#include <errno.h>
#include <stdlib.h>

#include "client/bus/filter.h"
#include "client/bus/look-up.h"
#include "client/bus/read.h"
#include "client/bus/reply.h"
#include "client/bus/view.h"

typedef struct Listing {
        OutboxFindOp find;
        BusRead read;
        ClientBus *bus;
        sd_bus_message *call;
        MessageFilter filter;
} Listing;

static void listing_free(Listing *l)
{
        outbox_records_free(l->find.records, l->find.n_records);
        sd_bus_message_unref(l->call);
        free(l);
}

/* The record on disk may be old. If the message is in memory, its state there counts. */
static int append_message(sd_bus_message *reply, const Listing *l, const OutboxRecord *stored)
{
        const Message *m = message_find(l->bus->client, stored->id);
        const OutboxRecord *record = m ? &m->record : stored;

        return l->filter.states & (1u << record->state) ? view_append_message(reply, record, m) : 0;
}

static void on_listed(DbOp *op, int r)
{
        Listing *l = CONTAINER_OF(CONTAINER_OF(op, OutboxFindOp, op), Listing, find);
        const OutboxRecord *records = l->find.records;
        size_t n = l->find.n_records;
        sd_bus_message *reply = NULL;
        char next[PAGE_NEXT_MAX];

        bus_read_done(l->bus);
        if (r < 0) {
                (void) bus_fail(l->call, "Storage", "The outbox cannot be read: %s", strerror(-r));
                listing_free(l);
                return;
        }
        bus_filter_next(&l->filter, records, n, next);
        r = sd_bus_message_new_method_return(l->call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(sssssuttts)");
        for (size_t i = 0; i < n && r >= 0; i++)
                r = append_message(reply, l, records + i);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", next);
        bus_send_reply(l->call, reply, r);
        listing_free(l);
}

int bus_method_list_messages(sd_bus_message *call, void *userdata, sd_bus_error *bus_error)
{
        const unsigned live = (1u << DELIVERY_SENT) | (1u << DELIVERY_BACKOFF) | (1u << DELIVERY_BOUND) |
                              (1u << DELIVERY_CANCELLING) | (1u << DELIVERY_DELAYED) |
                              (1u << DELIVERY_GATHERING) | (1u << DELIVERY_GIVING_UP) |
                              (1u << DELIVERY_QUEUED);
        Listing *l = calloc(1, sizeof *l);
        Error error = {};
        int r;

        if (!l)
                return -ENOMEM;
        l->bus = userdata;
        r = bus_read_message_filter(call, &l->filter, &error);
        if (r < 0) {
                listing_free(l);
                return bus_fail_argument(call, r, &error);
        }
        if (l->filter.states == 0)
                l->filter.states = (1u << _DELIVERY_STATE_MAX) - 1;
        outbox_find_op_init(&l->find, OUTBOX_NEWEST, l->filter.limit);
        l->find.number = l->filter.before;
        /* A live message may have another live state in memory than on disk. So this reads all live states,
         * and append_message() filters them. */
        l->find.states = l->filter.states & live ? l->filter.states | live : l->filter.states;
        l->call = sd_bus_message_ref(call);
        l->find.op.done = on_listed;
        r = bus_read(l->bus, &l->read, &l->find.op, call);
        if (r >= 0)
                return 1;
        listing_free(l);
        return bus_fail_too_many(call, r);
}

static int get_message(ClientBus *b, Message *m, sd_bus_message *call)
{
        char path[MESSAGE_PATH_MAX];

        return sd_bus_reply_method_return(call, "o", message_path(m, path));
}

int bus_method_get_message(sd_bus_message *call, void *userdata, sd_bus_error *bus_error)
{
        return bus_look_up(userdata, call, get_message);
}
