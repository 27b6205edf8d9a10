/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str-util.h"
#include "ctl/bus.h"
#include "ctl/table.h"

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
        r = bus_call(c, r, call, &answer);
        if (r != 0)
                return r;
        *ret = value_read_records(answer, fields);
        if (!*ret || sd_bus_message_read(answer, "s", &next) < 0 || !(*ret_next = strdup(next)))
                return ctl_fail(EXIT_FAILED, "the client's answer cannot be read");
        return 0;
}

static const Column message_columns[] = {
                {"ID", "id", COLUMN_ID},
                {"STATE", "state", COLUMN_STATE},
                {"MODE", "mode", COLUMN_TEXT, 0, 1},
                {"TARGET", "target", COLUMN_TEXT, 8, 3},
                {"RECEIVER", "receiver", COLUMN_TEXT, 8, 6},
                {"ATTEMPTS", "attempts", COLUMN_NUMBER, 0, 4},
                {"SIZE", "size", COLUMN_SIZE, 0, 2},
                {"ACCEPTED", "accepted", COLUMN_TIME, 0, 5},
                {"ERROR", "error", COLUMN_TEXT, 12},
                {},
};

/* The newest ones, up to `wanted`, in the states that were asked for. *ret_more: there are older ones. */
static int list_messages(Ctl *c, unsigned wanted, cJSON **ret, bool *ret_more)
{
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
        *ret_more = !str_empty(next);
        *ret = TAKE_PTR(all);
        return 0;
}

static int show_messages(Ctl *c)
{
        _cleanup_(cjsonp) cJSON *all = NULL;
        bool more;
        int r = list_messages(c, c->all ? UINT32_MAX : c->limit > 0 ? c->limit : 100, &all, &more);

        if (r != 0)
                return r;
        table_print(c, all, message_columns, "message");
        if (more && c->json == JSON_OFF && !c->no_legend)
                puts("There are older ones: --all shows them.");
        return EXIT_OK;
}

int verb_messages(Ctl *c, int argc, char **argv)
{
        if (c->all && c->limit > 0)
                return ctl_fail(EXIT_USAGE, "--all and --limit exclude each other");
        return show_messages(c);
}

int message_get(Ctl *c, const char *id, cJSON **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL, *get = NULL, *properties = NULL;
        const char *path;
        int r;

        r = bus_call_word(c, "GetMessage", id, &answer);
        if (r != 0)
                return r;
        r = sd_bus_message_read(answer, "o", &path);
        if (r >= 0)
                r = sd_bus_message_new_method_call(
                                c->bus, &get, BUS_NAME, path, "org.freedesktop.DBus.Properties", "GetAll");
        if (r >= 0)
                r = sd_bus_message_append(get, "s", MESSAGE_INTERFACE);
        r = bus_call(c, r, get, &properties);
        if (r != 0)
                return r;
        *ret = value_read(properties);
        return *ret ? 0 : ctl_fail(EXIT_FAILED, "the client's answer cannot be read");
}

static const Column message_lines[] = {
                {"Message", "Id", COLUMN_TEXT},
                {"State", "State", COLUMN_STATE},
                {"Mode", "Mode", COLUMN_TEXT},
                {"Target", "Target", COLUMN_TEXT},
                {"Receiver", "ReceiverName", COLUMN_TEXT},
                {"Receiver id", "Receiver", COLUMN_TEXT},
                {"Attempts", "Attempts", COLUMN_NUMBER},
                {"Accepted", "Accepted", COLUMN_TIME},
                {"Next retry", "NextRetry", COLUMN_TIME},
                {"Settled", "Settled", COLUMN_TIME},
                {"Progress", "Progress", COLUMN_TEXT},
                {"Last error", "LastError", COLUMN_TEXT},
                {"Size", "Size", COLUMN_SIZE},
                {"Starts", "Start", COLUMN_TIME},
                {"Deadline", "Deadline", COLUMN_TIME},
                {"Priority", "Priority", COLUMN_NUMBER},
                {"Guarantee", "Guarantee", COLUMN_TEXT},
                {"Reply", "Reply", COLUMN_TEXT},
                {},
};

int verb_show(Ctl *c, int argc, char **argv)
{
        for (int i = 1; i < argc; i++) {
                _cleanup_(cjsonp) cJSON *properties = NULL;
                int r = message_get(c, argv[i], &properties);

                if (r != 0)
                        return r;
                if (i > 1 && c->json == JSON_OFF)
                        putchar('\n');
                lines_print(c, properties, message_lines);
        }
        return EXIT_OK;
}

/* Each of the ids (ends with NULL), as long as it may help; *ret_done, unless NULL: with how many it did. */
static int call_for_each(Ctl *c, const char *method, const char *const *ids, unsigned *ret_done)
{
        int code = EXIT_OK;
        unsigned done = 0;

        for (size_t i = 0; ids[i] && !c->hopeless; i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;
                int r = bus_call_word(c, method, ids[i], &answer);

                if (r == 0)
                        done++;
                else
                        code = r;
        }
        if (ret_done)
                *ret_done = done;
        return code;
}

int verb_cancel(Ctl *c, int argc, char **argv)
{
        return call_for_each(c, "Cancel", (const char *const *) argv + 1, NULL);
}

/* What is done needs nobody's decision, and is kept for who looks. */
static int purge_each(Ctl *c, char **ids)
{
        int code = EXIT_OK, r;

        for (; *ids && !c->hopeless; ids++) {
                _cleanup_(cjsonp) cJSON *properties = NULL;
                const char *const one[] = {*ids, NULL}, *state;

                r = message_get(c, *ids, &properties);
                state = r == 0 ? value_string(properties, "State") : "";
                if (r == 0)
                        r = str_equal(state, "dead") || str_equal(state, "rejected")
                                            ? call_for_each(c, "Purge", one, NULL)
                                            : ctl_fail(EXIT_FAILED, "%s is %s, not a dead letter", *ids,
                                                              state);
                if (r != 0)
                        code = r;
        }
        return code;
}

/* Retry or Purge, for all dead letters. */
static int call_for_all(Ctl *c, const char *method)
{
        _cleanup_(cjsonp) cJSON *all = NULL;
        unsigned done, n = 0;
        const char **ids;
        const cJSON *m;
        bool more;
        int r;

        r = list_messages(c, UINT32_MAX, &all, &more);
        if (r != 0)
                return r;
        ids = calloc((size_t) cJSON_GetArraySize(all) + 1, sizeof *ids);
        if (!ids)
                return ctl_fail(EXIT_FAILED, "out of memory");
        cJSON_ArrayForEach(m, all)
                ids[n++] = value_string(m, "id");
        r = call_for_each(c, method, ids, &done);
        if (c->json == JSON_OFF && !c->no_legend)
                printf("%u message%s.\n", done, done == 1 ? "" : "s");
        free(ids);
        return r;
}

int verb_dead(Ctl *c, int argc, char **argv)
{
        static const struct {
                const char *name, *method;
        } changes[] = {{"retry", "Retry"}, {"purge", "Purge"}};
        const char *command = argc > 1 ? argv[1] : "list";

        if (strv_append(&c->states, "dead") < 0 || strv_append(&c->states, "rejected") < 0)
                return EXIT_FAILED;
        if (str_equal(command, "list") && argc <= 2)
                return show_messages(c);
        if (str_equal(command, "show") && argc > 2 && !c->all)
                return verb_show(c, argc - 1, argv + 1);
        for (size_t i = 0; i < ELEMENTSOF(changes); i++) {
                if (!str_equal(command, changes[i].name))
                        continue;
                if (c->all && argc == 2)
                        return call_for_all(c, changes[i].method);
                if (argc > 2 && !c->all && str_equal(command, "purge"))
                        return purge_each(c, argv + 2);
                if (argc > 2 && !c->all)
                        return call_for_each(c, changes[i].method, (const char *const *) argv + 2, NULL);
        }
        return ctl_fail(EXIT_USAGE,
                        "it is \"dead list\", \"dead show ID…\", \"dead retry ID…\" or \"dead purge ID…\";"
                        " --all instead of ID… to retry or purge every one");
}
