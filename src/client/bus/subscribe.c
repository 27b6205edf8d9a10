/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A signal costs as much as a call, most of it in the bus, and mostly there is nobody who listens. As with
 * systemd's own manager, signals about messages are sent while somebody has subscribed. */

#include <errno.h>

#include "client/bus/manager.h"

#define SUBSCRIBERS_MAX 1024u

int bus_subscribers_init(ClientBus *b)
{
        return sd_bus_track_new(b->bus, &b->subscribers, NULL, NULL);
}

bool bus_has_subscribers(const ClientBus *b)
{
        return b->subscribers && sd_bus_track_count(b->subscribers) > 0;
}

int bus_method_subscribe(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        ClientBus *b = userdata;
        int r;

        if (sd_bus_track_count(b->subscribers) >= SUBSCRIBERS_MAX)
                return bus_fail(call, "LimitExceeded", "%u programs have subscribed already",
                                SUBSCRIBERS_MAX);
        r = sd_bus_track_add_sender(b->subscribers, call);
        return r < 0 ? r : sd_bus_reply_method_return(call, NULL);
}

int bus_method_unsubscribe(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        ClientBus *b = userdata;
        int r = sd_bus_track_remove_sender(b->subscribers, call);

        if (r == 0 || r == -EUNATCH)
                return bus_fail(call, "NotSubscribed", "The caller has not subscribed");
        return r < 0 ? r : sd_bus_reply_method_return(call, NULL);
}
