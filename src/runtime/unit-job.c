/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/unit-job.h"

#include <errno.h>
#include <stdlib.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-id128.h>

#include "base/str-util.h"
#include "runtime/loop-event.h"
#include "runtime/timer.h"

#define MANAGER       "org.freedesktop.systemd1"
#define PATIENCE_USEC USEC_PER_SEC

struct UnitJob {
        sd_bus *bus;
        Timer timer;
        UnitJobFn fn; /* NULL: it was called already */
        void *userdata;
};

static void tell(UnitJob *j, bool restarting)
{
        UnitJobFn fn = j->fn;

        j->fn = NULL;
        timer_disarm(&j->timer);
        if (fn)
                fn(restarting, j->userdata);
}

static void on_time(void *userdata)
{
        tell(userdata, false);
}

static int get(UnitJob *j, const char *path, const char *interface, const char *property,
                sd_bus_message_handler_t fn)
{
        return sd_bus_call_method_async(j->bus, NULL, MANAGER, path, "org.freedesktop.DBus.Properties",
                        "Get", fn, j, "ss", interface, property);
}

static int on_type(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        const char *type = NULL;

        (void) sd_bus_message_read(reply, "v", "s", &type);
        tell(userdata, str_equal(type, "restart"));
        return 0;
}

static int on_job(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        UnitJob *j = userdata;
        const char *path;
        uint32_t id;

        if (sd_bus_message_read(reply, "v", "(uo)", &id, &path) < 0 || id == 0 ||
                        get(j, path, MANAGER ".Job", "JobType", on_type) < 0)
                tell(j, false);
        return 0;
}

static int on_unit(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
        UnitJob *j = userdata;
        const char *path;

        if (sd_bus_message_read(reply, "o", &path) < 0 || get(j, path, MANAGER ".Unit", "Job", on_job) < 0)
                tell(j, false);
        return 0;
}

/* The manager finds the unit by the invocation id. The name in the control group is not visible to a service
 * with ProtectProc=. */
static int ask(UnitJob *j, Loop *loop)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        bool user = getenv("MANAGERPID"); /* only the manager of a user sets it */
        sd_id128_t invocation;
        int r;

        if (sd_booted() <= 0 || sd_id128_get_invocation(&invocation) < 0)
                return -ENOENT;
        r = user ? sd_bus_open_user(&j->bus) : sd_bus_open_system(&j->bus);
        if (r >= 0)
                r = sd_bus_attach_event(j->bus, loop_event(loop), SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_message_new_method_call(j->bus, &m, MANAGER, "/org/freedesktop/systemd1",
                                MANAGER ".Manager", "GetUnitByInvocationID");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', invocation.bytes, sizeof invocation.bytes);
        return r < 0 ? r : sd_bus_call_async(j->bus, NULL, m, on_unit, j, 0);
}

int unit_job_ask(Loop *loop, UnitJobFn fn, void *userdata, UnitJob **ret)
{
        UnitJob *j = calloc(1, sizeof *j);
        int r;

        if (!j)
                return -ENOMEM;
        j->fn = fn;
        j->userdata = userdata;
        r = timer_init(&j->timer, loop, "unit-job", on_time, j);
        if (r < 0) {
                unit_job_free(j);
                return r;
        }
        (void) timer_arm_in(&j->timer, ask(j, loop) < 0 ? 0 : PATIENCE_USEC);
        *ret = j;
        return 0;
}

UnitJob *unit_job_free(UnitJob *j)
{
        if (!j)
                return NULL;
        timer_clear(&j->timer);
        sd_bus_close_unref(j->bus);
        free(j);
        return NULL;
}
