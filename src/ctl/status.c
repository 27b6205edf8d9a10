/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/query.h"
#include "ctl/table.h"
#include "ctl/verb.h"

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
                        {"Damage", "Damage", COLUMN_TEXT},
                        {},
        };
        _cleanup_(cjsonp) cJSON *properties = NULL;
        int r = query_client(c, &properties);

        if (r != 0)
                return r;
        cJSON_AddStringToObject(properties, "Bus", c->on_session_bus ? "session" : "system");
        lines_print(c, properties, lines);
        return EXIT_OK;
}
