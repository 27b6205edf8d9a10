/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/query.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/str-util.h"
#include "client/bus/filter.h"
#include "client/bus/look-up.h"
#include "client/bus/read.h"
#include "client/bus/reply.h"
#include "client/bus/view.h"
#include "client/state/peer.h"

static int add_label(const char *word, void *userdata, Error *error)
{
        Selector *s = userdata;
        Label label;
        int r;

        r = label_parse(word, &label, error);
        if (r >= 0)
                r = selector_add_label(s, &label);
        return r == -E2BIG ? error_set(error, -EINVAL, "label: at most %u", LABELS_MAX) : r;
}

typedef struct ReceiverFilter {
        Selector selector;
        bool all; /* those that left, too */
} ReceiverFilter;

static int take_receiver_filter(sd_bus_message *call, const char *key, void *userdata, Error *error)
{
        ReceiverFilter *filter = userdata;
        Selector *s = &filter->selector;
        const char *group;
        int all, r;

        if (str_equal(key, "all")) {
                r = sd_bus_message_read(call, "v", "b", &all);
                filter->all = r >= 0 && all;
                return r;
        }

        if (str_equal(key, "label"))
                return bus_read_words(call, add_label, s, error);
        if (!str_equal(key, "group"))
                return -ENOENT;
        r = sd_bus_message_read(call, "v", "s", &group);
        if (r >= 0 && strlen(group) > NAME_MAX_LENGTH)
                return error_set(error, -EINVAL, "group: longer than %u bytes", NAME_MAX_LENGTH);
        if (r >= 0)
                strcpy(s->group, group);
        return r;
}

static int append_receiver(sd_bus_message *reply, const Peer *p)
{
        char text[ADDRESS_STRING_MAX], id[SD_ID128_UUID_STRING_MAX];
        const ReceiverInfo *info = &p->info;
        int r;

        r = sd_bus_message_open_container(reply, 'r', "sssa{ss}assub");
        if (r >= 0)
                r = sd_bus_message_append(reply, "sss", sd_id128_to_uuid_string(info->id, id), info->name,
                                info->group);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{ss}");
        for (size_t i = 0; i < info->n_labels && r >= 0; i++)
                r = sd_bus_message_append(reply, "{ss}", info->labels[i].key, info->labels[i].value);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "s");
        for (size_t i = 0; i < info->n_addresses && r >= 0; i++)
                r = sd_bus_message_append(reply, "s", address_format(info->addresses + i, text));
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        if (r >= 0)
                r = sd_bus_message_append(
                                reply, "sub", peer_state_name(p), (uint32_t) p->n_bound, (int) info->plain);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int by_name(const void *a, const void *b)
{
        return strcmp((*(const Peer *const *) a)->info.name, (*(const Peer *const *) b)->info.name);
}

/* Returns the receivers that the filter selects, sorted by name. NULL: out of memory. */
static const Peer **find_receivers(const Client *c, const ReceiverFilter *filter, size_t *ret_n)
{
        const size_t n_max = HASH_CNT(hh_name, c->peers.by_name) + HASH_CNT(hh_name, c->peers.remembered);
        const Peer **peers = calloc(n_max + 1, sizeof *peers);
        size_t n = 0;

        for (const Peer *p = peers ? c->peers.by_name : NULL; p; p = p->hh_name.next)
                if (selector_matches(&filter->selector, &p->info))
                        peers[n++] = p;
        for (const Peer *p = peers && filter->all ? c->peers.remembered : NULL; p; p = p->hh_name.next)
                if (selector_matches(&filter->selector, &p->info))
                        peers[n++] = p;
        if (peers)
                qsort(peers, n, sizeof *peers, by_name);
        *ret_n = n;
        return peers;
}

int bus_method_list_receivers(sd_bus_message *call, void *userdata, sd_bus_error *bus_error)
{
        ClientBus *b = userdata;
        ReceiverFilter filter = {.selector = {.mode = SELECTOR_ANY, .plain = true}};
        sd_bus_message *reply = NULL;
        Error error = {};
        size_t n = 0;
        int r;

        r = bus_read_filter(call, take_receiver_filter, &filter, &error);
        if (r < 0) {
                selector_clear(&filter.selector);
                return bus_fail_argument(call, r, &error);
        }
        _cleanup_free_ const Peer **peers = find_receivers(b->client, &filter, &n);
        selector_clear(&filter.selector);
        if (!peers)
                return -ENOMEM;
        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(sssa{ss}assub)");
        for (size_t i = 0; i < n && r >= 0; i++)
                r = append_receiver(reply, peers[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        bus_send_reply(call, reply, r);
        return 1;
}

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
        bus_filter_next(&l->filter, records, n, next);
        if (r >= 0)
                r = sd_bus_message_new_method_return(l->call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(sssssuttts)");
        for (size_t i = 0; i < n && r >= 0; i++)
                r = append_message(reply, l, records + i);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", next);
        if (r >= 0)
                (void) sd_bus_send(l->bus->bus, reply, NULL);
        else
                (void) bus_fail(l->call, "Storage", "The outbox cannot be read: %s", strerror(-r));
        sd_bus_message_unref(reply);
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
