/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/unit.h"

#include <signal.h>

#include "base/str-util.h"
#include "base/time-util.h"
#include "ctl/value.h"

#define UNIT          "ackgroup-client.service"
#define MANAGER       "org.freedesktop.systemd1.Manager"
#define MANAGER_PATH  "/org/freedesktop/systemd1"
#define LOOK_USEC     (300 * USEC_PER_MSEC)
#define CALL_USEC     USEC_PER_SEC
#define START_USEC    USEC_PER_SEC       /* after this time a start that the bus asked for has begun */
#define PATIENCE_USEC (5 * USEC_PER_SEC) /* after this time nobody starts it any more */

typedef struct Ping {
        uint64_t begun_usec; /* CLOCK_MONOTONIC, as in the properties of units; of the last try to start it
                              */
        bool tried;          /* to start it without the bus */
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

/* Does not start a service manager where none is on this bus. NULL as `second`: there is one argument. */
static int call_manager(const Ctl *c, const char *path, const char *interface, const char *method,
                const char *first, const char *second, sd_bus_message **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        r = sd_bus_message_new_method_call(
                        c->bus, &call, "org.freedesktop.systemd1", path, interface, method);
        if (r >= 0)
                r = sd_bus_message_set_auto_start(call, false);
        if (r >= 0)
                r = sd_bus_message_append(call, "s", first);
        if (r >= 0 && second)
                r = sd_bus_message_append(call, "s", second);
        return r < 0 ? r : sd_bus_call(c->bus, call, CALL_USEC, NULL, ret);
}

/* The properties of the client's unit; NULL where there is no service manager. */
static cJSON *look(const Ctl *c)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *found = NULL, *answer = NULL;
        const char *path;

        if (call_manager(c, MANAGER_PATH, MANAGER, "LoadUnit", UNIT, NULL, &found) < 0 ||
                        sd_bus_message_read(found, "o", &path) < 0 ||
                        call_manager(c, path, "org.freedesktop.DBus.Properties", "GetAll", "", NULL,
                                        &answer) < 0)
                return NULL;
        return value_read(answer);
}

/* True also if that cannot be told. */
static bool has_owner(const Ctl *c)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;
        int owned;

        return sd_bus_call_method(c->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                               "org.freedesktop.DBus", "NameHasOwner", NULL, &answer, "s", BUS_NAME) < 0 ||
               sd_bus_message_read(answer, "b", &owned) < 0 || owned;
}

/* The bus asks for a start only once in 25 s, whatever happens to the unit meanwhile. Who may start units
 * does not have to wait for that. */
static void start(Ping *p, const Ctl *c)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;

        p->tried = true;
        if (has_owner(c))
                return; /* it runs without its unit, and is slow */
        uint64_t begun = now_usec(CLOCK_MONOTONIC);
        if (call_manager(c, MANAGER_PATH, MANAGER, "StartUnit", UNIT, "replace", &answer) >= 0)
                p->begun_usec = begun;
}

/* True if the unit is not started any more: it has failed since the last try, or it fails again and again.
 * If it has failed before, the reason may be no more. */
static bool has_failed(Ping *p, const Ctl *c, const cJSON *unit)
{
        const cJSON *job = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(unit, "Job"), 0);
        double restarts = value_number(unit, "NRestarts");
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        if (p->restarts < 0)
                p->restarts = restarts;
        if (restarts >= p->restarts + 2)
                return true;
        if (!str_equal(value_string(unit, "ActiveState"), "failed") || cJSON_GetNumberValue(job) > 0)
                return false;
        if (value_number(unit, "InactiveEnterTimestampMonotonic") >= (double) p->begun_usec)
                return true;
        if (!p->tried && now >= p->begun_usec + START_USEC)
                start(p, c);
        return now >= p->begun_usec + PATIENCE_USEC && !has_owner(c);
}

/* With the daemon's own words, if it had any before it ended. */
static void set_reason(const cJSON *unit, sd_bus_error *error)
{
        const char *status = value_string(unit, "StatusText");

        (void) sd_bus_error_setf(error, UNIT_FAILED, "The client does not start (%s, %s %.0f)%s%s",
                        value_string(unit, "Result"),
                        value_number(unit, "ExecMainCode") == CLD_EXITED ? "status" : "signal",
                        value_number(unit, "ExecMainStatus"), str_empty(status) ? "" : ": ", status);
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
                if (unit && has_failed(&p, c, unit)) {
                        set_reason(unit, error);
                        return;
                }
        }
        if (r < 0)
                (void) sd_bus_error_set_errno(error, r);
}
