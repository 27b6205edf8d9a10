/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "ctl/bus.h"
#include "ctl/status.h"
#include "ctl/table.h"

int manager_get(Ctl *c, cJSON **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *answer = NULL;
        int r;

        r = sd_bus_message_new_method_call(
                        c->bus, &call, BUS_NAME, BUS_PATH, "org.freedesktop.DBus.Properties", "GetAll");
        if (r >= 0)
                r = sd_bus_message_append(call, "s", MANAGER_INTERFACE);
        r = bus_call(c, r, call, &answer);
        if (r != 0)
                return r;
        *ret = value_read(answer);
        return *ret ? 0 : ctl_fail(EXIT_FAILED, "the client's answer cannot be read");
}

int verb_status(Ctl *c, int argc, char **argv)
{
        static const Column lines[] = {
                        {"Version", "Version", COLUMN_TEXT},
                        {"Client", "ClientId", COLUMN_TEXT},
                        {"Bus", "Bus", COLUMN_TEXT},
                        {"Discovery", "Discovery", COLUMN_TEXT},
                        {"Discovery state", "DiscoveryState", COLUMN_STATE},
                        {"Receivers", "Receivers", COLUMN_NUMBER},
                        {"Waiting", "Waiting", COLUMN_NUMBER},
                        {"Dead letters", "DeadLetters", COLUMN_NUMBER},
                        {"Settled", "Settled", COLUMN_NUMBER},
                        {"Attempts", "Attempts", COLUMN_NUMBER},
                        {"Outbox limit", "OutboxLimit", COLUMN_NUMBER},
                        {},
        };
        _cleanup_(cjsonp) cJSON *properties = NULL;
        int r = manager_get(c, &properties);

        if (r != 0)
                return r;
        cJSON_AddStringToObject(properties, "Bus", c->on_session_bus ? "session" : "system");
        lines_print(c, properties, lines);
        return EXIT_OK;
}
