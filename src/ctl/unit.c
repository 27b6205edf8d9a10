/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/unit.h"

#include <inttypes.h>

#include "base/str-util.h"
#include "base/time-util.h"
#include "ctl/value.h"

#define UNIT      "ackgroup-client.service"
#define LOOK_USEC (300 * USEC_PER_MSEC)

typedef struct Ping {
        uint64_t begun_usec; /* CLOCK_MONOTONIC, as in the properties of units */
        double restarts;     /* of the unit at the first look; negative: there was none */
        bool done;
        sd_bus_error *error;
} Ping;

static int on_pong(sd_bus_message *answer, void *userdata, sd_bus_error *ignored)
{
        Ping *p = userdata;

        p->done = true;
        (void) sd_bus_error_copy(p->error, sd_bus_message_get_error(answer));
        return 0;
}

/* Without starting a service manager where none is on this bus. */
static int call_manager(const Ctl *c, const char *path, const char *interface, const char *method,
                const char *word, sd_bus_message **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        r = sd_bus_message_new_method_call(
                        c->bus, &call, "org.freedesktop.systemd1", path, interface, method);
        if (r >= 0)
                r = sd_bus_message_set_auto_start(call, false);
        if (r >= 0)
                r = sd_bus_message_append(call, "s", word);
        return r < 0 ? r : sd_bus_call(c->bus, call, 0, NULL, ret);
}

/* The properties of the client's unit; NULL where there is no service manager. */
static cJSON *look(const Ctl *c)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *found = NULL, *answer = NULL;
        const char *path;

        if (call_manager(c, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "LoadUnit",
                            UNIT, &found) < 0 ||
                        sd_bus_message_read(found, "o", &path) < 0 ||
                        call_manager(c, path, "org.freedesktop.DBus.Properties", "GetAll", "", &answer) < 0)
                return NULL;
        return value_read(answer);
}

/* True if the unit has failed since the ping, or fails again and again. Before the ping, it may have failed
 * for a reason that is no more. */
static bool has_failed(Ping *p, const cJSON *unit)
{
        double restarts = value_number(unit, "NRestarts");

        if (p->restarts < 0)
                p->restarts = restarts;
        return (str_equal(value_string(unit, "ActiveState"), "failed") &&
                               value_number(unit, "InactiveEnterTimestampMonotonic") >=
                                               (double) p->begun_usec) ||
               restarts >= p->restarts + 2;
}

/* With the daemon's own words, if it had any before it ended. */
static void set_reason(const cJSON *unit, sd_bus_error *error)
{
        const char *status = value_string(unit, "StatusText");

        (void) sd_bus_error_setf(error, UNIT_FAILED, "The client does not start (%s, status %.0f)%s%s",
                        value_string(unit, "Result"), value_number(unit, "ExecMainStatus"),
                        str_empty(status) ? "" : ": ", status);
}

void unit_ping(Ctl *c, sd_bus_error *error)
{
        Ping p = {.begun_usec = now_usec(CLOCK_MONOTONIC), .restarts = -1, .error = error};
        _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *slot = NULL;
        int r;

        r = sd_bus_call_method_async(c->bus, &slot, BUS_NAME, BUS_PATH, "org.freedesktop.DBus.Peer", "Ping",
                        on_pong, &p, NULL);
        while (r >= 0 && !p.done) {
                r = sd_bus_process(c->bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(c->bus, LOOK_USEC);
                if (r != 0)
                        continue;
                _cleanup_(cjsonp) cJSON *unit = look(c);
                if (unit && has_failed(&p, unit)) {
                        set_reason(unit, error);
                        return;
                }
        }
        if (r < 0)
                (void) sd_bus_error_set_errno(error, r);
}
