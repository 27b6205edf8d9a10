/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/deliveries.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str-util.h"
#include "client/bus/look-up.h"
#include "client/bus/read.h"
#include "client/bus/reply.h"
#include "client/bus/view.h"

#define PAGE_DEFAULT 64u
#define PAGE_MAX     256u
/* Bytes of all replies in one answer. The system bus ends a connection that sends 32 MiB in one message. */
#define REPLIES_MAX ((size_t) PAGE_MAX * REPLY_MAX)

typedef struct Listing {
        OutboxFindOp find;
        BusRead read;
        ClientBus *bus;
        sd_bus_message *call;
} Listing;

static void listing_free(Listing *l)
{
        outbox_records_free(l->find.records, l->find.n_records);
        sd_bus_message_unref(l->call);
        free(l);
}

static bool is_page(sd_bus_message *call)
{
        return sd_bus_message_is_method_call(call, NULL, "FindDeliveries") > 0;
}

/* Prefers a delivery in memory: it is newer than that on disk. */
static const OutboxRecord *newest(ClientBus *b, const OutboxRecord *stored, const Message **ret)
{
        *ret = message_find_member(b->client, stored->id, stored->member);
        return *ret ? &(*ret)->record : stored;
}

static bool is_too_long(ClientBus *b, const OutboxRecord *records, size_t n)
{
        size_t size = 0;
        const Message *m;

        for (size_t i = 0; i < n; i++)
                size += newest(b, records + i, &m)->reply_size;
        return size > REPLIES_MAX;
}

static int append_all(ClientBus *b, sd_bus_message *reply, const OutboxRecord *records, size_t n, bool named)
{
        int r = sd_bus_message_open_container(reply, 'a', named ? "a{sv}" : "(sssutttsay)");

        for (size_t i = 0; i < n && r >= 0; i++) {
                const Message *m;
                const OutboxRecord *record = newest(b, records + i, &m);

                r = (named ? view_describe_delivery : view_append_delivery)(reply, record, m);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static void reply_deliveries(
                ClientBus *b, sd_bus_message *call, const OutboxRecord *records, size_t n, const char *next)
{
        const bool named = sd_bus_message_is_method_call(call, NULL, "ListDeliveries") <= 0;
        sd_bus_message *reply = NULL;
        int r;

        if (is_too_long(b, records, n)) {
                (void) bus_fail(call, "LimitExceeded",
                                "The replies of these %zu receivers have more than %zu MiB: FindDeliveries "
                                "gives them in pages",
                                n, REPLIES_MAX >> 20);
                return;
        }
        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = append_all(b, reply, records, n, named);
        if (r >= 0 && is_page(call))
                r = sd_bus_message_append(reply, "s", next);
        bus_send_reply(call, reply, r);
}

static void on_members(DbOp *op, int r)
{
        Listing *l = CONTAINER_OF(CONTAINER_OF(op, OutboxFindOp, op), Listing, find);
        const size_t n = l->find.n_records;
        char next[16] = "";

        bus_read_done(l->bus);
        if (r >= 0 && n == l->find.limit && is_page(l->call))
                (void) snprintf(next, sizeof next, "%" PRIu32, l->find.records[n - 1].member);
        if (r < 0)
                (void) bus_fail_look_up(l->call, r);
        else
                reply_deliveries(l->bus, l->call, l->find.records, n, next);
        listing_free(l);
}

/* Members of `m` from the one behind `after` on. */
static int read_members(ClientBus *b, const Message *m, sd_bus_message *call, uint64_t after, size_t limit)
{
        Listing *l = calloc(1, sizeof *l);
        int r;

        if (!l)
                return -ENOMEM;
        l->bus = b;
        l->call = sd_bus_message_ref(call);
        outbox_find_op_init(&l->find, OUTBOX_MEMBERS, limit);
        l->find.number = m->record.number;
        l->find.member = after;
        l->find.op.done = on_members;
        r = bus_read(b, &l->read, &l->find.op, call);
        if (r >= 0)
                return 1;
        listing_free(l);
        return bus_fail_too_many(call, r);
}

static int list_deliveries(ClientBus *b, Message *m, sd_bus_message *call)
{
        if (m->fanout)
                return read_members(b, m, call, 0, MEMBERS_MAX);
        reply_deliveries(b, call, &m->record, 1, "");
        return 1;
}

int bus_method_list_deliveries(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        return bus_look_up(userdata, call, list_deliveries);
}

/* Pages. */

typedef struct PageFilter {
        uint32_t limit;
        uint64_t after; /* number of a member */
} PageFilter;

static int take(sd_bus_message *call, const char *key, void *userdata, Error *error)
{
        PageFilter *filter = userdata;

        if (str_equal(key, "limit"))
                return bus_read_limit(call, PAGE_MAX, &filter->limit, error);
        return str_equal(key, "after") ? bus_read_after(call, UINT32_MAX, &filter->after, error) : -ENOENT;
}

static int find_deliveries(ClientBus *b, Message *m, sd_bus_message *call)
{
        PageFilter filter = {.limit = PAGE_DEFAULT};
        Error error = {};
        int r = bus_read_filter(call, take, &filter, &error);

        if (r < 0)
                return bus_fail_argument(call, r, &error);
        if (m->fanout)
                return read_members(b, m, call, filter.after, filter.limit);
        reply_deliveries(b, call, &m->record, filter.after == 0, "");
        return 1;
}

int bus_method_find_deliveries(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        return bus_look_up(userdata, call, find_deliveries);
}
