/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/service.h"

#include <systemd/sd-daemon.h>

#include "runtime/notify.h"

#define EXTEND_EVERY_USEC (5 * USEC_PER_SEC)
#define EXTEND_BY_USEC    (20 * USEC_PER_SEC)

static void on_watchdog(void *userdata)
{
        Service *s = userdata;

        if (!s->is_alive || s->is_alive(s->userdata))
                notify_alive();
        (void) timer_arm_in(&s->watchdog, s->watchdog_usec / 2);
}

static void on_extend(void *userdata)
{
        Service *s = userdata;

        notify_extend(EXTEND_BY_USEC);
        (void) timer_arm_in(&s->extend, EXTEND_EVERY_USEC);
}

int service_start(Service *s, Loop *loop, bool (*is_alive)(void *userdata), void *userdata)
{
        int r;

        *s = (Service){.is_alive = is_alive, .userdata = userdata};
        r = timer_init(&s->watchdog, loop, "watchdog", on_watchdog, s);
        if (r >= 0)
                r = timer_init(&s->extend, loop, "extend", on_extend, s);
        if (r >= 0)
                r = sd_watchdog_enabled(0, &s->watchdog_usec);
        if (r > 0)
                r = timer_arm_in(&s->watchdog, s->watchdog_usec / 2);
        if (r < 0)
                service_stop(s);
        return r < 0 ? r : 0;
}

void service_stop(Service *s)
{
        timer_clear(&s->watchdog);
        timer_clear(&s->extend);
}

void service_extend(Service *s, bool on)
{
        if (on)
                on_extend(s);
        else
                timer_disarm(&s->extend);
}
