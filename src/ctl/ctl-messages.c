/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include "base/str-util.h"
#include "ctl/ctl-bus.h"
#include "ctl/ctl-table.h"

#define PAGE_MAX 1000u

static int append_filter(const Ctl *c, sd_bus_message *call, const char *after, unsigned limit)
{
        int r;

        r = sd_bus_message_open_container(call, 'a', "{sv}");
        if (r >= 0)
                r = sd_bus_message_append(call, "{sv}", "limit", "u", limit);
        if (r >= 0)
                r = sd_bus_message_append(call, "{sv}", "after", "s", after);
        if (r >= 0 && strv_length(c->states) > 0) {
                r = sd_bus_message_open_container(call, 'e', "sv");
                if (r >= 0)
                        r = sd_bus_message_append(call, "s", "states");
                if (r >= 0)
                        r = sd_bus_message_open_container(call, 'v', "as");
                if (r >= 0)
                        r = sd_bus_message_append_strv(call, c->states);
                if (r >= 0)
                        r = sd_bus_message_close_container(call);
                if (r >= 0)
                        r = sd_bus_message_close_container(call);
        }
        return r < 0 ? r : sd_bus_message_close_container(call);
}

/* One page. *ret_next is malloc'ed; "" behind the last page. */
static int list_page(Ctl *c, const char *after, unsigned limit, cJSON **ret, char **ret_next)
{
        static const char *const fields[] = {"id", "mode", "target", "state", "receiver", "attempts",
                        "accepted", "settled", "size", "error", NULL};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *answer = NULL;
        const char *next;
        int r;

        r = bus_new_call(c, &call, "ListMessages");
        if (r >= 0)
                r = append_filter(c, call, after, limit);
        if (r < 0)
                return ctl_fail(EXIT_FAILED, "cannot make the call: %s", strerror(-r));
        r = bus_call(c, call, &answer);
        if (r != 0)
                return r;
        *ret = value_read_records(answer, fields);
        if (!*ret || sd_bus_message_read(answer, "s", &next) < 0 || !(*ret_next = strdup(next)))
                return ctl_fail(EXIT_FAILED, "the client's answer cannot be read");
        return 0;
}

static const Column message_columns[] = {
                {"ID",         "id", COLUMN_ID, false},
                {"STATE",   "state", COLUMN_STATE, false},
                {"MODE",            "mode", COLUMN_TEXT, false},
                {"TARGET",   "target", COLUMN_TEXT, true},
                {"RECEIVER",       "receiver", COLUMN_TEXT, true},
                {"ATTEMPTS",       "attempts", COLUMN_NUMBER, false},
                {"SIZE", "size", COLUMN_SIZE, false},
                {"ACCEPTED",            "accepted", COLUMN_TIME, false},
                {"ERROR",  "error", COLUMN_TEXT, true},
                {  },
};

int verb_messages(Ctl *c, int argc, char **argv)
{
        unsigned wanted = c->all ? UINT32_MAX : c->limit > 0 ? c->limit : 100;
        _cleanup_(cjsonp) cJSON *all = cJSON_CreateArray();
        _cleanup_free_ char *next = strdup("");

        while (wanted > 0) {
                _cleanup_(cjsonp) cJSON *page = NULL;
                char *following = NULL;
                int r = list_page(c, next ?: "", MIN(wanted, PAGE_MAX), &page, &following);

                if (r != 0)
                        return r;
                free(next);
                next = following;
                wanted -= MIN(wanted, (unsigned) cJSON_GetArraySize(page));
                for (cJSON *item; (item = cJSON_DetachItemFromArray(page, 0));)
                        cJSON_AddItemToArray(all, item);
                if (str_empty(next))
                        break;
        }
        table_print(c, all, message_columns, "message");
        if (!str_empty(next) && c->json == JSON_OFF && !c->no_legend)
                puts("There are older ones: --all shows them.");
        return EXIT_OK;
}

static int get_properties(Ctl *c, const char *id, cJSON **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *answer = NULL, *get = NULL,
                                                        *properties = NULL;
        const char *path;
        int r;

        r = bus_new_call(c, &call, "GetMessage");
        if (r >= 0)
                r = sd_bus_message_append(call, "s", id);
        if (r < 0)
                return ctl_fail(EXIT_FAILED, "cannot make the call: %s", strerror(-r));
        r = bus_call(c, call, &answer);
        if (r != 0)
                return r;
        r = sd_bus_message_read(answer, "o", &path);
        if (r >= 0)
                r = sd_bus_message_new_method_call(
                                c->bus, &get, BUS_NAME, path, "org.freedesktop.DBus.Properties", "GetAll");
        if (r >= 0)
                r = sd_bus_message_append(get, "s", MESSAGE_INTERFACE);
        if (r < 0)
                return ctl_fail(EXIT_FAILED, "cannot make the call: %s", strerror(-r));
        r = bus_call(c, get, &properties);
        if (r != 0)
                return r;
        *ret = value_read(properties);
        return *ret ? 0 : ctl_fail(EXIT_FAILED, "the client's answer cannot be read");
}

static const Column message_lines[] = {
                {"Message",    "Id", COLUMN_TEXT, false},
                {"State", "State", COLUMN_STATE, false},
                {"Mode",            "Mode", COLUMN_TEXT, false},
                {"Target",     "Target", COLUMN_TEXT, false},
                {"Receiver",       "ReceiverName", COLUMN_TEXT, false},
                {"Receiver id",       "Receiver", COLUMN_TEXT, false},
                {"Attempts", "Attempts", COLUMN_NUMBER, false},
                {"Accepted",            "Accepted", COLUMN_TIME, false},
                {"Next retry","NextRetry", COLUMN_TIME, false},
                {"Settled",       "Settled", COLUMN_TIME, false},
                {"Last error",   "LastError", COLUMN_TEXT, false},
                {"Size", "Size", COLUMN_SIZE, false},
                {"Guarantee",            "Guarantee", COLUMN_TEXT, false},
                {"Reply","Reply", COLUMN_TEXT, false},
                {  },
};

int verb_show(Ctl *c, int argc, char **argv)
{
        for (int i = 1; i < argc; i++) {
                _cleanup_(cjsonp) cJSON *properties = NULL;
                int r = get_properties(c, argv[i], &properties);

                if (r != 0)
                        return r;
                if (i > 1 && c->json == JSON_OFF)
                        putchar('\n');
                lines_print(c, properties, message_lines);
        }
        return EXIT_OK;
}

int verb_cancel(Ctl *c, int argc, char **argv)
{
        int code = EXIT_OK;

        for (int i = 1; i < argc; i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *answer = NULL;
                int r = bus_new_call(c, &call, "Cancel");

                if (r >= 0)
                        r = sd_bus_message_append(call, "s", argv[i]);
                if (r < 0)
                        return ctl_fail(EXIT_FAILED, "cannot make the call: %s", strerror(-r));
                r = bus_call(c, call, &answer);
                if (r != 0)
                        code = r;
        }
        return code;
}
