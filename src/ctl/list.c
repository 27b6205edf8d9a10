/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "base/str-util.h"
#include "ctl/bus.h"
#include "ctl/each.h"
#include "ctl/pager.h"
#include "ctl/query.h"
#include "ctl/table.h"
#include "ctl/verb.h"

int verb_list(Ctl *c, int argc, char **argv)
{
        static const Column columns[] = {
                        {"NAME", "name", COLUMN_TEXT, 8},
                        {"GROUP", "group", COLUMN_TEXT, 8, 4},
                        {"STATE", "state", COLUMN_STATE},
                        {"BOUND", "bound", COLUMN_NUMBER},
                        {"ID", "id", COLUMN_ID, 0, 3},
                        {"LABELS", "labels", COLUMN_LIST, 8, 2},
                        {"ADDRESSES", "addresses", COLUMN_LIST, 16, 1},
                        {},
        };
        _cleanup_(cjsonp) cJSON *receivers = NULL, *properties = NULL;
        int r = query_receivers(c, &receivers);

        if (r == 0 && c->json == JSON_OFF)
                r = query_client(c, &properties);
        if (r != 0)
                return r;
        if (str_equal(value_string(properties, "DiscoveryState"), "unreachable"))
                fputs("Discovery does not answer: this is the last known list.\n", stderr);
        pager_open(c);
        table_print(c, receivers, columns, "receiver");
        return EXIT_OK;
}

static int set_draining(Ctl *c, const char *receiver, void *userdata)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *answer = NULL;
        const int *drain = userdata;
        int r = bus_new_call(c, &call, "Drain");

        if (r >= 0)
                r = sd_bus_message_append(call, "sb", receiver, *drain);
        return bus_call(c, r, call, &answer);
}

int verb_drain(Ctl *c, int argc, char **argv)
{
        return each_word(c, argv + 1, set_draining, &(int){true});
}

int verb_resume(Ctl *c, int argc, char **argv)
{
        return each_word(c, argv + 1, set_draining, &(int){false});
}
