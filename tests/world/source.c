/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The events that a loop waits for: timers, descriptors, and sources of the other files. */

#include <poll.h>
#include <stdlib.h>
#include <utlist.h>

#include "runtime/timer.h"
#include "runtime/watch.h"
#include "world/inside.h"

typedef struct Descriptor {
        bool used;
        int next_free;
        bool (*is_ready)(int fd, uint32_t events, void *userdata);
        void *userdata;
} Descriptor;

/* By number; the numbers of those that are gone are used again. */
static Descriptor *descriptors;
static int n_descriptors, n_allocated, first_free;

void source_world_begin(void)
{
        n_descriptors = 0;
        first_free = -1;
}

void source_world_end(void)
{
        assert(!loop_waits(NULL)->alarms && !loop_waits(NULL)->sources);
        free(descriptors);
        descriptors = NULL;
        n_descriptors = n_allocated = 0;
}

void alarm_add(Alarm *a, Loop *loop, void (*fn)(void *userdata), void *userdata)
{
        *a = (Alarm){.loop = loop, .due = USEC_INFINITY, .fn = fn, .userdata = userdata};
        DL_APPEND(loop_waits(loop)->alarms, a);
}

void alarm_remove(Alarm *a)
{
        if (!a->fn)
                return;
        DL_DELETE(loop_waits(a->loop)->alarms, a);
        a->fn = NULL;
        loop_waits_less(a->loop);
}

typedef struct LoopTimer {
        Alarm alarm;
        Owned owned;
} LoopTimer;

static void timer_reclaim(Owned *o)
{
        LoopTimer *t = CONTAINER_OF(o, LoopTimer, owned);

        alarm_remove(&t->alarm);
        free(t);
}

int timer_init(Timer *t, Loop *loop, const char *description, void (*fn)(void *userdata), void *userdata)
{
        HOST_SCOPE;
        LoopTimer *l = calloc(1, sizeof *l);

        assert(l && loop);
        alarm_add(&l->alarm, loop, fn, userdata);
        owned_add(&l->owned, timer_reclaim);
        *t = (Timer){.source = (void *) l, .fn = fn, .userdata = userdata};
        return 0;
}

static Alarm *alarm_of(const Timer *t)
{
        return &((LoopTimer *) (void *) t->source)->alarm;
}

void timer_clear(Timer *t)
{
        LoopTimer *l = (void *) t->source;

        if (!l)
                return;
        owned_remove(&l->owned);
        timer_reclaim(&l->owned);
        t->source = NULL;
}

int timer_arm_at(Timer *t, uint64_t usec)
{
        assert(t->source);
        kill_point();
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
        DL_APPEND(loop_waits(loop)->sources, s);
}

void source_remove(Source *s)
{
        if (!s->dispatch)
                return;
        DL_DELETE(loop_waits(s->loop)->sources, s);
        s->dispatch = NULL;
        loop_waits_less(s->loop);
}

static Descriptor *descriptor(int fd)
{
        const int i = fd - FD_FIRST;

        return i >= 0 && i < n_descriptors && descriptors[i].used ? descriptors + i : NULL;
}

int fd_new(bool (*is_ready)(int fd, uint32_t events, void *userdata), void *userdata)
{
        HOST_SCOPE;
        int i = first_free;

        if (i >= 0)
                first_free = descriptors[i].next_free;
        else {
                if (n_descriptors == n_allocated) {
                        n_allocated = MAX(2 * n_allocated, 64);
                        descriptors = reallocarray(descriptors, (size_t) n_allocated, sizeof *descriptors);
                        assert(descriptors);
                }
                i = n_descriptors++;
        }
        descriptors[i] = (Descriptor){.used = true, .is_ready = is_ready, .userdata = userdata};
        return FD_FIRST + i;
}

void fd_free(int fd)
{
        Descriptor *d = descriptor(fd);

        if (!d)
                return;
        d->used = false;
        d->next_free = first_free;
        first_free = fd - FD_FIRST;
}

void *fd_userdata(int fd)
{
        Descriptor *d = descriptor(fd);

        return d ? d->userdata : NULL;
}

static bool fd_is_ready(int fd, uint32_t events)
{
        struct pollfd p = {.fd = fd, .events = (short) events};
        Descriptor *d = descriptor(fd);

        if (fd < FD_FIRST)
                return poll(&p, 1, 0) > 0;
        return d && d->is_ready && d->is_ready(fd, events, d->userdata);
}

typedef struct FdSource {
        Source source;
        Owned owned;
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

static void watch_reclaim(Owned *o)
{
        FdSource *f = CONTAINER_OF(o, FdSource, owned);

        source_remove(&f->source);
        free(f);
}

int watch_start(Watch *w, Loop *loop, int fd, uint32_t events, void (*fn)(uint32_t events, void *userdata),
                void *userdata)
{
        HOST_SCOPE;
        FdSource *f = calloc(1, sizeof *f);

        assert(f);
        f->watch = w;
        f->fd = fd;
        f->events = events;
        source_add(&f->source, loop, watch_ready, watch_dispatch);
        owned_add(&f->owned, watch_reclaim);
        *w = (Watch){.source = (void *) f, .fn = fn, .userdata = userdata};
        return 0;
}

void watch_stop(Watch *w)
{
        FdSource *f = (void *) w->source;

        if (!f)
                return;
        owned_remove(&f->owned);
        watch_reclaim(&f->owned);
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

bool source_dispatch_one(Loop *l, unsigned turn)
{
        Waits *waits = loop_waits(l);
        const uint64_t now = now_usec(CLOCK_BOOTTIME);
        Alarm *a, *first = NULL;
        Source *s;

        DL_FOREACH(waits->sources, s)
                if (s->turn != turn && s->is_ready(s)) {
                        s->turn = turn;
                        s->dispatch(s);
                        return true;
                }
        DL_FOREACH(waits->alarms, a)
                if (a->due <= now && a->turn != turn && (!first || a->due < first->due))
                        first = a;
        if (!first)
                return false;
        first->turn = turn;
        first->due = USEC_INFINITY;
        first->fn(first->userdata);
        return true;
}

uint64_t alarms_next(Loop *l)
{
        uint64_t due = USEC_INFINITY;
        Alarm *a;

        DL_FOREACH(loop_waits(l)->alarms, a)
                due = MIN(due, a->due);
        return due;
}
