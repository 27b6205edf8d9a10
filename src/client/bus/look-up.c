/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/look-up.h"

#include <errno.h>

#include "client/bus/reply.h"
#include "client/intake/lookup.h"

typedef struct LookUp {
        ClientBus *bus;
        sd_bus_message *call;
        BusFound found;
} LookUp;

static void on_found(Message *m, int r, void *userdata)
{
        LookUp *l = userdata;

        if (r < 0)
                (void) bus_fail_look_up(l->call, r);
        else {
                r = l->found(l->bus, m, l->call);
                if (r < 0)
                        (void) sd_bus_reply_method_errno(l->call, r, NULL);
        }
        sd_bus_message_unref(l->call);
        free(l);
}

int bus_look_up(ClientBus *b, sd_bus_message *call, BusFound found)
{
        const char *id;
        LookUp *l;
        int r;

        r = sd_bus_message_read(call, "s", &id);
        if (r < 0)
                return r;
        l = malloc(sizeof *l);
        if (!l)
                return -ENOMEM;
        *l = (LookUp){b, sd_bus_message_ref(call), found};
        message_look_up(b->client, id, on_found, l);
        return 1;
}
