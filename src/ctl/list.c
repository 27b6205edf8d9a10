/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include "base/str-util.h"
#include "ctl/bus.h"
#include "ctl/list.h"
#include "ctl/status.h"
#include "ctl/table.h"

static int append_filter(const Ctl *c, sd_bus_message *call)
{
        int r;

        r = sd_bus_message_open_container(call, 'a', "{sv}");
        if (r >= 0 && c->group)
                r = sd_bus_message_append(call, "{sv}", "group", "s", c->group);
        for (char **s = c->labels; s && *s && r >= 0; s++)
                r = sd_bus_message_append(call, "{sv}", "label", "as", 1, *s);
        return r < 0 ? r : sd_bus_message_close_container(call);
}

int list_receivers(Ctl *c, cJSON **ret)
{
        static const char *const fields[] = {
                        "id", "name", "group", "labels", "addresses", "state", "bound", "plain", NULL};
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *answer = NULL;
        int r;

        r = bus_new_call(c, &call, "ListReceivers");
        if (r >= 0)
                r = append_filter(c, call);
        r = bus_call(c, r, call, &answer);
        if (r != 0)
                return r;
        *ret = value_read_records(answer, fields);
        return *ret ? 0 : ctl_fail(EXIT_FAILED, "the client's answer cannot be read");
}

int verb_list(Ctl *c, int argc, char **argv)
{
        static const Column columns[] = {
                        {"NAME", "name", COLUMN_TEXT, 8},
                        {"GROUP", "group", COLUMN_TEXT, 8, 3},
                        {"STATE", "state", COLUMN_STATE},
                        {"BOUND", "bound", COLUMN_NUMBER},
                        {"ID", "id", COLUMN_ID, 0, 1},
                        {"LABELS", "labels", COLUMN_LIST, 8, 2},
                        {"ADDRESSES", "addresses", COLUMN_LIST, 8, 4},
                        {},
        };
        _cleanup_(cjsonp) cJSON *receivers = NULL, *properties = NULL;
        int r = list_receivers(c, &receivers);

        if (r == 0 && c->json == JSON_OFF)
                r = manager_get(c, &properties);
        if (r != 0)
                return r;
        if (str_equal(value_string(properties, "DiscoveryState"), "unreachable"))
                fputs("Discovery does not answer: this is what was known last.\n", stderr);
        table_print(c, receivers, columns, "receiver");
        return EXIT_OK;
}

static int set_draining(Ctl *c, int argc, char **argv, bool drain)
{
        int code = EXIT_OK;

        for (int i = 1; i < argc && !c->hopeless; i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *answer = NULL;
                int r = bus_new_call(c, &call, "Drain");

                if (r >= 0)
                        r = sd_bus_message_append(call, "sb", argv[i], (int) drain);
                r = bus_call(c, r, call, &answer);
                if (r != 0)
                        code = r;
        }
        return code;
}

int verb_drain(Ctl *c, int argc, char **argv)
{
        return set_draining(c, argc, argv, true);
}

int verb_resume(Ctl *c, int argc, char **argv)
{
        return set_draining(c, argc, argv, false);
}
