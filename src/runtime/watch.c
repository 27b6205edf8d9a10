/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/watch.h"

#include "runtime/loop-event.h"

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Watch *w = userdata;

        w->fn(revents, w->userdata);
        return 0;
}

int watch_start(Watch *w, Loop *loop, int fd, uint32_t events, void (*fn)(uint32_t events, void *userdata),
                void *userdata)
{
        *w = (Watch){.fn = fn, .userdata = userdata};
        return sd_event_add_io(loop_event(loop), &w->source, fd, events, on_io, w);
}

void watch_stop(Watch *w)
{
        w->source = sd_event_source_disable_unref(w->source);
}

void watch_change(Watch *w, uint32_t events)
{
        if (w->source)
                (void) sd_event_source_set_io_events(w->source, events);
}

void watch_pause(Watch *w, bool pause)
{
        if (w->source)
                (void) sd_event_source_set_enabled(w->source, pause ? SD_EVENT_OFF : SD_EVENT_ON);
}

void watch_be_last(Watch *w)
{
        if (w->source)
                (void) sd_event_source_set_priority(w->source, SD_EVENT_PRIORITY_NORMAL + 5);
}
