/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/drain.h"

#include <errno.h>

#include "client/bus/reply.h"
#include "client/intake/drain.h"
#include "client/state/peer.h"

static void on_drained(int status, const char *problem, void *userdata)
{
        sd_bus_message *call = userdata;

        if (status == 204)
                (void) sd_bus_reply_method_return(call, NULL);
        else if (status == 404)
                (void) bus_fail(call, "NoSuchReceiver", "Discovery does not list this receiver");
        else if (status > 0)
                (void) bus_fail(call, "Discovery",
                                "Discovery refuses (HTTP status %d): use its Unix socket, or set "
                                "AllowTcpRegistration=yes there",
                                status);
        else
                (void) bus_fail(call, "Discovery", "Discovery does not answer: %s", problem);
        sd_bus_message_unref(call);
}

int bus_method_drain(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        ClientBus *b = userdata;
        const char *receiver;
        Error why = {};
        int drain, r;

        r = sd_bus_message_read(call, "sb", &receiver, &drain);
        if (r < 0)
                return r;
        r = client_drain(b->client, receiver, drain, on_drained, sd_bus_message_ref(call));
        if (r >= 0)
                return 1;
        sd_bus_message_unref(call);
        if (r != -ENOTUNIQ && r != -ENOENT)
                return r;
        peer_tell_unknown(b->client, receiver, &why);
        return bus_fail(call, r == -ENOENT ? "NoSuchReceiver" : "AmbiguousReceiver", "%s", why.text);
}
