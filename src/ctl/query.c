/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/query.h"

#include <stdlib.h>
#include <string.h>

#include "base/str-util.h"
#include "ctl/bus.h"

#define PAGE_MAX 1000u /* messages or receivers in one reply */

static int get_properties(Ctl *c, const char *path, const char *interface, cJSON **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;
        int r = bus_get_properties(c, path, interface, &answer);

        if (r != 0)
                return r;
        *ret = value_read(answer);
        return cJSON_IsObject(*ret) ? 0 : bus_bad_answer();
}

int query_client(Ctl *c, cJSON **ret)
{
        return get_properties(c, BUS_PATH, MANAGER_INTERFACE, ret);
}

int query_message(Ctl *c, const char *id, cJSON **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;
        const char *path;
        int r = bus_call_word(c, "GetMessage", id, &answer);

        if (r != 0)
                return r;
        if (sd_bus_message_read(answer, "o", &path) < 0)
                return bus_bad_answer();
        return get_properties(c, path, MESSAGE_INTERFACE, ret);
}

/* The rest of a page: where the next one begins (malloc'ed); "": nowhere. */
static int read_next(sd_bus_message *answer, char **ret)
{
        const char *next;

        return sd_bus_message_read(answer, "s", &next) < 0 || !(*ret = strdup(next)) ? bus_bad_answer() : 0;
}

static void move_items(cJSON *to, cJSON *from)
{
        for (cJSON *item; (item = cJSON_DetachItemFromArray(from, 0));)
                cJSON_AddItemToArray(to, item);
}

static int append_selection(const Ctl *c, sd_bus_message *call, const char *after)
{
        int r;

        r = sd_bus_message_open_container(call, 'a', "{sv}");
        if (r >= 0 && after)
                r = sd_bus_message_append(call, "{sv}{sv}", "limit", "u", PAGE_MAX, "after", "s", after);
        if (r >= 0 && c->group)
                r = sd_bus_message_append(call, "{sv}", "group", "s", c->group);
        for (char **s = c->labels; s && *s && r >= 0; s++)
                r = sd_bus_message_append(call, "{sv}", "label", "as", 1, *s);
        if (r >= 0 && c->all)
                r = sd_bus_message_append(call, "{sv}", "all", "b", 1);
        return r < 0 ? r : sd_bus_message_close_container(call);
}

/* `after` NULL: all of them, from a client that has no pages. */
static int get_receivers(Ctl *c, const char *id, const char *after, cJSON **ret, char **ret_next)
{
        static const char *const fields[] = {
                        "id", "name", "group", "labels", "addresses", "state", "bound", "plain", NULL};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *answer = NULL;
        bool known;
        int r;

        r = bus_new_call(c, &call, after ? "FindReceivers" : "ListReceivers");
        if (r >= 0)
                r = append_selection(c, call, after);
        r = bus_call_if_known(c, r, call, &answer, &known);
        if (r == 0 && !known && after)
                return get_receivers(c, id, NULL, ret, ret_next);
        if (r != 0)
                return r;
        *ret = value_read_records(answer, fields);
        if (!*ret)
                return bus_bad_answer();
        return after ? read_next(answer, ret_next) : 0;
}

/* All pages as one. `get` returns one of them, and where the next one begins: NULL or "" is nowhere. */
static int join_pages(Ctl *c, const char *id,
                int (*get)(Ctl *c, const char *id, const char *after, cJSON **ret, char **ret_next),
                cJSON **ret)
{
        _cleanup_(cjsonp) cJSON *all = cJSON_CreateArray();
        _cleanup_free_ char *next = strdup("");

        do {
                _cleanup_(cjsonp) cJSON *page = NULL;
                char *following = NULL;
                int r = get(c, id, next ?: "", &page, &following);

                if (r != 0)
                        return r;
                free(next);
                next = following;
                move_items(all, page);
        } while (!str_empty(next));
        *ret = TAKE_PTR(all);
        return 0;
}

/* By name and its numbers: 2@ant is before 10@ant. */
static int compare(const void *a, const void *b)
{
        const cJSON *x = *(cJSON *const *) a, *y = *(cJSON *const *) b;
        int order = strverscmp(value_string(x, "name"), value_string(y, "name"));

        return order != 0 ? order : strcmp(value_string(x, "id"), value_string(y, "id"));
}

int query_receivers(Ctl *c, cJSON **ret)
{
        int r = join_pages(c, NULL, get_receivers, ret);

        if (r == 0)
                value_sort(*ret, compare);
        return r;
}

static int get_records(Ctl *c, const char *method, const char *id, const char *const *fields, cJSON **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;
        int r = bus_call_word(c, method, id, &answer);

        if (r != 0)
                return r;
        *ret = value_read_records(answer, fields);
        return *ret ? 0 : bus_bad_answer();
}

/* From a client that has no pages. */
static int get_all_deliveries(Ctl *c, const char *id, cJSON **ret)
{
        static const char *const fields[] = {"receiver_id", "receiver", "state", "attempts", "sent",
                        "settled", "next_retry", "error", "reply", NULL};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;
        bool older;
        int r = bus_call_newest(c, "DescribeDeliveries", "ListDeliveries", id, &answer, &older);

        if (r != 0)
                return r;
        *ret = older ? value_read_records(answer, fields) : value_read(answer);
        return cJSON_IsArray(*ret) ? 0 : bus_bad_answer();
}

static int get_deliveries(Ctl *c, const char *id, const char *after, cJSON **ret, char **ret_next)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *answer = NULL;
        bool known;
        int r;

        r = bus_new_call(c, &call, "FindDeliveries");
        if (r >= 0)
                r = sd_bus_message_append(call, "sa{sv}", id, 1, "after", "s", after);
        r = bus_call_if_known(c, r, call, &answer, &known);
        if (r == 0 && !known)
                return get_all_deliveries(c, id, ret);
        if (r != 0)
                return r;
        *ret = value_read(answer);
        return cJSON_IsArray(*ret) ? read_next(answer, ret_next) : bus_bad_answer();
}

int query_deliveries(Ctl *c, const char *id, cJSON **ret)
{
        return join_pages(c, id, get_deliveries, ret);
}

int query_attempts(Ctl *c, const char *id, cJSON **ret)
{
        static const char *const fields[] = {
                        "member", "receiver", "attempt", "sent", "ended", "outcome", "detail", NULL};

        return get_records(c, "ListAttempts", id, fields, ret);
}

int query_replies(Ctl *c, const char *id, cJSON **ret)
{
        _cleanup_(cjsonp) cJSON *deliveries = NULL;
        int r = query_deliveries(c, id, &deliveries);
        cJSON *d;

        if (r != 0)
                return r;
        *ret = cJSON_CreateArray();
        cJSON_ArrayForEach(d, deliveries) {
                cJSON *replied;

                if (!value_flag(d, "reply_cut") &&
                                str_equal(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(d, "reply")),
                                                ""))
                        continue;
                replied = cJSON_CreateObject();
                cJSON_AddStringToObject(replied, "receiver", value_string(d, "receiver"));
                cJSON_AddItemToObject(replied, "reply", cJSON_DetachItemFromObjectCaseSensitive(d, "reply"));
                cJSON_AddBoolToObject(replied, "reply_cut", value_flag(d, "reply_cut"));
                cJSON_AddItemToArray(*ret, replied);
        }
        return 0;
}

static int append_states(sd_bus_message *call, char **states)
{
        int r;

        r = sd_bus_message_open_container(call, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(call, "s", "states");
        if (r >= 0)
                r = sd_bus_message_open_container(call, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_append_strv(call, states);
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        return r < 0 ? r : sd_bus_message_close_container(call);
}

static int append_page(const Ctl *c, sd_bus_message *call, const char *after, unsigned limit)
{
        int r;

        r = sd_bus_message_open_container(call, 'a', "{sv}");
        if (r >= 0)
                r = sd_bus_message_append(call, "{sv}{sv}", "limit", "u", limit, "after", "s", after);
        if (r >= 0 && strv_length(c->states) > 0)
                r = append_states(call, c->states);
        return r < 0 ? r : sd_bus_message_close_container(call);
}

/* Gets one page of messages. *ret_next: start of the next page (malloc'ed); "": this is the last page. */
static int get_page(Ctl *c, const char *after, unsigned limit, cJSON **ret, char **ret_next)
{
        static const char *const fields[] = {"id", "mode", "target", "state", "receiver", "attempts",
                        "accepted", "settled", "size", "error", NULL};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *answer = NULL;
        int r;

        r = bus_new_call(c, &call, "ListMessages");
        if (r >= 0)
                r = append_page(c, call, after, limit);
        r = bus_call(c, r, call, &answer);
        if (r != 0)
                return r;
        *ret = value_read_records(answer, fields);
        return *ret ? read_next(answer, ret_next) : bus_bad_answer();
}

int query_messages(Ctl *c, unsigned wanted, cJSON **ret, bool *ret_more)
{
        _cleanup_(cjsonp) cJSON *all = cJSON_CreateArray();
        _cleanup_free_ char *next = strdup("");

        while (wanted > 0) {
                _cleanup_(cjsonp) cJSON *page = NULL;
                char *following = NULL;
                int r = get_page(c, next ?: "", MIN(wanted, PAGE_MAX), &page, &following);

                if (r != 0)
                        return r;
                free(next);
                next = following;
                wanted -= MIN(wanted, (unsigned) cJSON_GetArraySize(page));
                move_items(all, page);
                if (str_empty(next))
                        break;
        }
        *ret_more = !str_empty(next);
        *ret = TAKE_PTR(all);
        return 0;
}

int query_many(Ctl *c, const char *method, const char *after, uint32_t *ret_done, char **ret_next)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *answer = NULL;
        bool known;
        int r;

        r = bus_new_call(c, &call, method);
        if (r >= 0)
                r = append_page(c, call, after, PAGE_MAX);
        r = bus_call_if_known(c, r, call, &answer, &known);
        if (r != 0 || !known)
                return r;
        return sd_bus_message_read(answer, "u", ret_done) < 0 ? bus_bad_answer()
                                                              : read_next(answer, ret_next);
}
