/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/timer.h"

#include "runtime/loop-event.h"

/* sd-event takes 0 for 250 ms. */
#define ACCURACY_USEC 1

static int on_time(sd_event_source *s, uint64_t usec, void *userdata)
{
        Timer *t = userdata;

        t->fn(t->userdata);
        return 0;
}

int timer_init(Timer *t, Loop *loop, const char *description, void (*fn)(void *userdata), void *userdata)
{
        int r;

        *t = (Timer){.fn = fn, .userdata = userdata};
        r = sd_event_add_time(loop_event(loop), &t->source, CLOCK_BOOTTIME, USEC_INFINITY, ACCURACY_USEC,
                        on_time, t);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(t->source, description);
        return sd_event_source_set_enabled(t->source, SD_EVENT_OFF);
}

void timer_clear(Timer *t)
{
        t->source = sd_event_source_disable_unref(t->source);
}

int timer_arm_at(Timer *t, uint64_t usec)
{
        int r;

        if (usec == USEC_INFINITY) {
                timer_disarm(t);
                return 0;
        }
        t->due = MAX(usec, now_usec(CLOCK_BOOTTIME));
        r = sd_event_source_set_time(t->source, usec);
        if (r < 0)
                return r;
        return sd_event_source_set_enabled(t->source, SD_EVENT_ONESHOT);
}

int timer_arm_in(Timer *t, uint64_t usec)
{
        return timer_arm_at(t, usec_add(now_usec(CLOCK_BOOTTIME), usec));
}

uint64_t timer_late(const Timer *t)
{
        uint64_t now = now_usec(CLOCK_BOOTTIME);

        return now > t->due ? now - t->due : 0;
}

void timer_disarm(Timer *t)
{
        if (t->source)
                (void) sd_event_source_set_enabled(t->source, SD_EVENT_OFF);
}

bool timer_is_armed(const Timer *t)
{
        int enabled = SD_EVENT_OFF;

        return t->source && sd_event_source_get_enabled(t->source, &enabled) >= 0 && enabled != SD_EVENT_OFF;
}
