/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The events that a loop waits for: timers, descriptors, and sources of the other files. */

#include <poll.h>
#include <stdlib.h>
#include <utlist.h>

#include "runtime/timer.h"
#include "runtime/watch.h"
#include "world/inside.h"

typedef struct Descriptor {
        int fd;
        bool (*is_ready)(int fd, uint32_t events, void *userdata);
        void *userdata;
        struct Descriptor *prev, *next;
} Descriptor;

static int next_fd;
static Source *all_sources;
static Alarm *alarms;
static Descriptor *descriptors;

void source_world_begin(void)
{
        next_fd = FD_FIRST;
        all_sources = NULL;
        alarms = NULL;
        descriptors = NULL;
}

void source_world_end(void)
{
        assert(!alarms && !all_sources);
        for (Descriptor *d; (d = descriptors);) {
                DL_DELETE(descriptors, d);
                free(d);
        }
}

void alarm_add(Alarm *a, Loop *loop, void (*fn)(void *userdata), void *userdata)
{
        *a = (Alarm){.loop = loop, .due = USEC_INFINITY, .fn = fn, .userdata = userdata};
        DL_APPEND(alarms, a);
}

void alarm_remove(Alarm *a)
{
        if (a->fn)
                DL_DELETE(alarms, a);
        a->fn = NULL;
}

int timer_init(Timer *t, Loop *loop, const char *description, void (*fn)(void *userdata), void *userdata)
{
        Alarm *a = calloc(1, sizeof *a);

        assert(a && loop);
        alarm_add(a, loop, fn, userdata);
        *t = (Timer){.source = (void *) a, .fn = fn, .userdata = userdata};
        return 0;
}

static Alarm *alarm_of(const Timer *t)
{
        return (void *) t->source;
}

void timer_clear(Timer *t)
{
        if (t->source)
                alarm_remove(alarm_of(t));
        free(alarm_of(t));
        t->source = NULL;
}

int timer_arm_at(Timer *t, uint64_t usec)
{
        assert(t->source);
        alarm_of(t)->due = usec;
        if (usec != USEC_INFINITY)
                t->due = MAX(usec, now_usec(CLOCK_BOOTTIME));
        return 0;
}

int timer_arm_in(Timer *t, uint64_t usec)
{
        return timer_arm_at(t, usec_add(now_usec(CLOCK_BOOTTIME), usec));
}

void timer_disarm(Timer *t)
{
        if (t->source)
                alarm_of(t)->due = USEC_INFINITY;
}

bool timer_is_armed(const Timer *t)
{
        return t->source && alarm_of(t)->due != USEC_INFINITY;
}

uint64_t timer_late(const Timer *t)
{
        return now_usec(CLOCK_BOOTTIME) > t->due ? now_usec(CLOCK_BOOTTIME) - t->due : 0;
}

/* Sources. */

void source_add(Source *s, Loop *loop, bool (*is_ready)(Source *s), void (*dispatch)(Source *s))
{
        *s = (Source){.loop = loop, .is_ready = is_ready, .dispatch = dispatch};
        DL_APPEND(all_sources, s);
}

void source_remove(Source *s)
{
        if (s->dispatch)
                DL_DELETE(all_sources, s);
        s->dispatch = NULL;
}

static Descriptor *descriptor(int fd)
{
        Descriptor *d;

        DL_FOREACH(descriptors, d)
                if (d->fd == fd)
                        return d;
        return NULL;
}

int fd_new(bool (*is_ready)(int fd, uint32_t events, void *userdata), void *userdata)
{
        Descriptor *d = calloc(1, sizeof *d);

        assert(d);
        *d = (Descriptor){.fd = next_fd++, .is_ready = is_ready, .userdata = userdata};
        DL_APPEND(descriptors, d);
        return d->fd;
}

void fd_free(int fd)
{
        Descriptor *d = descriptor(fd);

        if (d)
                DL_DELETE(descriptors, d);
        free(d);
}

void *fd_userdata(int fd)
{
        Descriptor *d = descriptor(fd);

        return d ? d->userdata : NULL;
}

bool fd_is_ready(int fd, uint32_t events)
{
        struct pollfd p = {.fd = fd, .events = (short) events};
        Descriptor *d = descriptor(fd);

        if (fd < FD_FIRST)
                return poll(&p, 1, 0) > 0;
        return d && d->is_ready && d->is_ready(fd, events, d->userdata);
}

typedef struct FdSource {
        Source source;
        Watch *watch;
        int fd;
        uint32_t events;
        bool paused;
} FdSource;

static bool watch_ready(Source *s)
{
        FdSource *f = CONTAINER_OF(s, FdSource, source);

        return !f->paused && fd_is_ready(f->fd, f->events);
}

static void watch_dispatch(Source *s)
{
        FdSource *f = CONTAINER_OF(s, FdSource, source);

        f->watch->fn(f->events, f->watch->userdata);
}

int watch_start(Watch *w, Loop *loop, int fd, uint32_t events, void (*fn)(uint32_t events, void *userdata),
                void *userdata)
{
        FdSource *f = calloc(1, sizeof *f);

        assert(f);
        f->watch = w;
        f->fd = fd;
        f->events = events;
        source_add(&f->source, loop, watch_ready, watch_dispatch);
        *w = (Watch){.source = (void *) f, .fn = fn, .userdata = userdata};
        return 0;
}

void watch_stop(Watch *w)
{
        FdSource *f = (void *) w->source;

        if (f)
                source_remove(&f->source);
        free(f);
        w->source = NULL;
}

void watch_change(Watch *w, uint32_t events)
{
        if (w->source)
                ((FdSource *) (void *) w->source)->events = events;
}

void watch_pause(Watch *w, bool pause)
{
        if (w->source)
                ((FdSource *) (void *) w->source)->paused = pause;
}

void watch_be_last(Watch *w)
{
}

bool source_dispatch_one(Loop *l, unsigned turn)
{
        Alarm *a, *first = NULL;
        Source *s;

        DL_FOREACH(all_sources, s)
                if (s->loop == l && s->turn != turn && s->is_ready(s)) {
                        s->turn = turn;
                        s->dispatch(s);
                        return true;
                }
        DL_FOREACH(alarms, a)
                if (a->loop == l && a->due <= now_usec(CLOCK_BOOTTIME) && a->turn != turn &&
                                (!first || a->due < first->due))
                        first = a;
        if (!first)
                return false;
        first->turn = turn;
        first->due = USEC_INFINITY;
        first->fn(first->userdata);
        return true;
}

uint64_t alarms_next(bool (*is_running)(const Loop *l))
{
        uint64_t due = USEC_INFINITY;
        Alarm *a;

        DL_FOREACH(alarms, a)
                if (is_running(a->loop))
                        due = MIN(due, a->due);
        return due;
}
