/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/dead.h"

#include <errno.h>

#include "client/bus/look-up.h"
#include "client/bus/reply.h"
#include "client/bus/wait.h"
#include "client/engine/fanout.h"
#include "client/intake/purge.h"
#include "client/state/message.h"

int bus_method_cancel(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        return bus_look_up(userdata, call, bus_wait_cancelled);
}

static int fail_purging(sd_bus_message *call)
{
        return bus_fail(call, "NoSuchMessage", "The message is being purged");
}

static int retry(ClientBus *b, Message *m, sd_bus_message *call)
{
        int r = message_revive(m);

        switch (r) {
        case -EALREADY:
                return bus_fail(call, "NotDead", "The message is %s, not a dead letter",
                                delivery_state_to_string(m->record.state));
        case -EBUSY:
                return bus_fail(call, "NotDead", "Its end is not on disk yet: try again soon");
        case -ENOENT:
                return fail_purging(call);
        default:
                return r < 0 ? r : bus_wait_saved(b, m, call);
        }
}

int bus_method_retry(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        return bus_look_up(userdata, call, retry);
}

static int fail_open(sd_bus_message *call)
{
        return bus_fail(call, "NotDead", "The message is not at its end yet: cancel it first");
}

static void on_purged(int r, void *userdata)
{
        sd_bus_message *call = userdata;

        if (r == -EBUSY)
                (void) fail_open(call);
        else if (r < 0)
                (void) bus_fail(call, "Storage", "The outbox cannot be written: %s", strerror(-r));
        else
                (void) sd_bus_reply_method_return(call, NULL);
        sd_bus_message_unref(call);
}

static int purge(ClientBus *b, Message *m, sd_bus_message *call)
{
        int r = message_purge(m, on_purged, sd_bus_message_ref(call));

        if (r >= 0)
                return 1;
        sd_bus_message_unref(call);
        return r == -EALREADY ? fail_purging(call) : r == -EBUSY ? fail_open(call) : r;
}

int bus_method_purge(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
        return bus_look_up(userdata, call, purge);
}
