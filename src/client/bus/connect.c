/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/bus/connect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/time-util.h"
#include "client/bus/caller.h"
#include "client/bus/guard.h"
#include "client/bus/manager.h"
#include "client/bus/read.h"
#include "client/bus/signals.h"
#include "client/bus/subscribe.h"
#include "client/bus/wait.h"
#include "runtime/loop-event.h"

#define PAUSE_MIN (100 * USEC_PER_MSEC)
#define PAUSE_MAX (10 * USEC_PER_SEC)

/* Without a service manager nobody else would end it. In a container, or where the bus has started it, there
 * will be no other bus. */
static bool ends_with_bus(void)
{
        return !getenv("NOTIFY_SOCKET") || getenv("DBUS_STARTER_BUS_TYPE");
}

static int on_lost(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
        ClientBus *b = userdata;

        if (b->client->stopping)
                return 0;
        if (ends_with_bus()) {
                log_error("The connection to the bus is lost");
                loop_exit(b->client->loop, EXIT_FAILURE);
                return 0;
        }
        if (b->signals.named)
                b->connect.pause = PAUSE_MIN;
        if (b->connect.pause == PAUSE_MIN) /* not after each try */
                log_warning("The connection to the bus is lost; messages go on, and the client connects "
                            "again");
        (void) timer_arm_in(&b->connect.timer, b->connect.pause);
        return 0;
}

static int open_bus(const ClientBus *b, sd_bus **ret)
{
        return b->system ? sd_bus_open_system_with_description(ret, "client")
                         : sd_bus_open_user_with_description(ret, "client");
}

static int use(ClientBus *b)
{
        int r = manager_add_objects(b);

        if (r >= 0)
                r = sd_bus_match_signal_async(b->bus, NULL, "org.freedesktop.DBus.Local", NULL,
                                "org.freedesktop.DBus.Local", "Disconnected", on_lost, NULL, b);
        if (r >= 0) /* the end of the loop would wait for a bus that does not answer */
                r = sd_bus_set_close_on_exit(b->bus, false);
        if (r >= 0)
                r = sd_bus_attach_event(b->bus, loop_event(b->client->loop), SD_EVENT_PRIORITY_NORMAL);
        return r;
}

/* What belongs to the old connection goes with it. A new bus may give the same names to other callers. */
static void leave(ClientBus *b)
{
        bus_guard_clear(b);
        bus_callers_leave(b);
        bus_signals_lost(b);
        b->bus = sd_bus_close_unref(b->bus);
}

static void on_pause_over(void *userdata)
{
        ClientBus *b = userdata;
        int r;

        leave(b);
        b->connect.pause = MIN(b->connect.pause * 2, PAUSE_MAX);
        r = open_bus(b, &b->bus);
        if (r >= 0)
                r = use(b);
        if (r >= 0) {
                bus_signals_connected(b);
                return;
        }
        log_debug("Cannot connect to the bus: %s", strerror(-r));
        b->bus = sd_bus_close_unref(b->bus);
        (void) timer_arm_in(&b->connect.timer, b->connect.pause);
}

ClientObserver client_bus_observer(ClientBus *b)
{
        return bus_signals_observer(b);
}

int client_bus_attach(ClientBus *b, sd_bus *bus)
{
        int r;

        b->bus = bus;
        b->connect.attached = true;
        b->connect.pause = PAUSE_MIN;
        bus_signals_init(b);
        r = timer_init(&b->connect.timer, b->client->loop, "bus", on_pause_over, b);
        if (r >= 0)
                r = bus_wait_init(b);
        return r < 0 ? r : use(b);
}

int client_bus_open(ClientBus *b, Error *error)
{
        sd_bus *bus = NULL;
        int r = open_bus(b, &bus);

        if (r >= 0)
                r = client_bus_attach(b, bus);
        return r < 0 ? error_set(error, r, "cannot connect to the %s bus: %s", b->system ? "system" : "user",
                                       strerror(-r))
                     : 0;
}

void client_bus_clear(ClientBus *b)
{
        if (!b->connect.attached)
                return;
        bus_read_clear(b);
        bus_wait_clear(b);
        bus_guard_clear(b);
        if (b->signals.named) /* else it may not answer, and nobody waits for anything */
                (void) sd_bus_flush(b->bus);
        bus_subscribe_clear(b);
        bus_signals_clear(b);
        timer_clear(&b->connect.timer);
        b->bus = sd_bus_close_unref(b->bus);
}
