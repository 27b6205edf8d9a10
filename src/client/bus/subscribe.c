/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/subscribe.h"

#include <errno.h>

#include "client/bus/reply.h"

#define SUBSCRIBERS_MAX 1024u

int bus_subscribe_init(ClientBus *b)
{
        return sd_bus_track_new(b->bus, &b->subscribe.track, NULL, NULL);
}

void bus_subscribe_clear(ClientBus *b)
{
        b->subscribe.track = sd_bus_track_unref(b->subscribe.track);
}

bool bus_has_subscribers(const ClientBus *b)
{
        return b->subscribe.track && sd_bus_track_count(b->subscribe.track) > 0;
}

int bus_method_subscribe(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        ClientBus *b = userdata;
        int r;

        if (sd_bus_track_count(b->subscribe.track) >= SUBSCRIBERS_MAX)
                return bus_fail(call, "LimitExceeded", "%u programs have subscribed already",
                                SUBSCRIBERS_MAX);
        r = sd_bus_track_add_sender(b->subscribe.track, call);
        return r < 0 ? r : sd_bus_reply_method_return(call, NULL);
}

int bus_method_unsubscribe(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        ClientBus *b = userdata;
        int r = sd_bus_track_remove_sender(b->subscribe.track, call);

        if (r == 0 || r == -EUNATCH)
                return bus_fail(call, "NotSubscribed", "The caller has not subscribed");
        return r < 0 ? r : sd_bus_reply_method_return(call, NULL);
}
