/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/receivers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str-util.h"
#include "client/bus/reply.h"
#include "client/bus/view.h"
#include "client/state/peer.h"

#define PAGE_DEFAULT 100u
#define PAGE_MAX     1000u
#define AT_ONCE_MAX  10000u /* in one reply without pages */

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
        uint32_t limit;
        char *after; /* a name; NULL: from the first on */
} ReceiverFilter;

static void filter_clear(ReceiverFilter *filter)
{
        selector_clear(&filter->selector);
        free_clear(&filter->after);
}

static int take_after(sd_bus_message *call, ReceiverFilter *filter)
{
        const char *after;
        int r = sd_bus_message_read(call, "v", "s", &after);

        return r < 0 || after[0] == '\0' ? r : str_replace(&filter->after, after);
}

static int take(sd_bus_message *call, const char *key, void *userdata, Error *error)
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
        if (filter->limit > 0 && str_equal(key, "limit"))
                return bus_read_limit(call, PAGE_MAX, &filter->limit, error);
        if (filter->limit > 0 && str_equal(key, "after"))
                return take_after(call, filter);
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

/* The first ones by name. */
typedef struct Found {
        const Peer **peers; /* while they are collected, none goes before its parent: the last is the first
                             */
        size_t n, max;
        bool more;
} Found;

static int by_name(const void *a, const void *b)
{
        return strcmp((*(const Peer *const *) a)->info.name, (*(const Peer *const *) b)->info.name);
}

static void swap(const Peer **a, const Peer **b)
{
        const Peer *p = *a;

        *a = *b;
        *b = p;
}

static void rise(Found *f, size_t i)
{
        for (; i > 0 && by_name(f->peers + i, f->peers + (i - 1) / 2) > 0; i = (i - 1) / 2)
                swap(f->peers + i, f->peers + (i - 1) / 2);
}

static void sink(Found *f)
{
        for (size_t i = 0, child; (child = 2 * i + 1) < f->n; i = child) {
                child += child + 1 < f->n && by_name(f->peers + child + 1, f->peers + child) > 0;
                if (by_name(f->peers + i, f->peers + child) >= 0)
                        return;
                swap(f->peers + i, f->peers + child);
        }
}

static void consider(Found *f, const ReceiverFilter *filter, const Peer *p)
{
        if ((filter->after && strcmp(p->info.name, filter->after) <= 0) ||
                        !selector_matches(&filter->selector, &p->info))
                return;
        if (f->n < f->max) {
                f->peers[f->n] = p;
                rise(f, f->n++);
                return;
        }
        f->more = true;
        if (by_name(&p, f->peers) > 0)
                return;
        f->peers[0] = p;
        sink(f);
}

/* Sorted by name. 0 or -ENOMEM. */
static int find(const Client *c, const ReceiverFilter *filter, size_t max, Found *ret)
{
        const size_t n = HASH_CNT(hh_name, c->peers.by_name) + HASH_CNT(hh_name, c->peers.remembered);

        *ret = (Found){.max = MIN(max, n), .peers = calloc(MIN(max, n) + 1, sizeof(Peer *))};
        if (!ret->peers)
                return -ENOMEM;
        for (const Peer *p = c->peers.by_name; p; p = p->hh_name.next)
                consider(ret, filter, p);
        for (const Peer *p = filter->all ? c->peers.remembered : NULL; p; p = p->hh_name.next)
                consider(ret, filter, p);
        qsort(ret->peers, ret->n, sizeof *ret->peers, by_name);
        return 0;
}

/* Without a limit: all at once. */
static int answer(sd_bus_message *call, ClientBus *b, ReceiverFilter *filter)
{
        const bool in_pages = filter->limit > 0;
        sd_bus_message *reply = NULL;
        Error error = {};
        Found found = {};
        int r;

        r = bus_read_filter(call, take, filter, &error);
        if (r < 0)
                return bus_fail_argument(call, r, &error);
        r = find(b->client, filter, in_pages ? filter->limit : AT_ONCE_MAX, &found);
        if (r >= 0 && found.more && !in_pages) {
                free(found.peers);
                return bus_fail(call, "LimitExceeded",
                                "More than %u receivers: FindReceivers lists them in pages", AT_ONCE_MAX);
        }
        if (r >= 0)
                r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(sssa{ss}assub)");
        for (size_t i = 0; i < found.n && r >= 0; i++)
                r = append_receiver(reply, found.peers[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        if (r >= 0 && in_pages)
                r = sd_bus_message_append(reply, "s", found.more ? found.peers[found.n - 1]->info.name : "");
        free(found.peers);
        bus_send_reply(call, reply, r);
        return 1;
}

int bus_method_list_receivers(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        ReceiverFilter filter = {.selector = {.mode = SELECTOR_ANY, .plain = true}};
        int r = answer(call, userdata, &filter);

        filter_clear(&filter);
        return r;
}

int bus_method_find_receivers(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        ReceiverFilter filter = {.selector = {.mode = SELECTOR_ANY, .plain = true}, .limit = PAGE_DEFAULT};
        int r = answer(call, userdata, &filter);

        filter_clear(&filter);
        return r;
}
