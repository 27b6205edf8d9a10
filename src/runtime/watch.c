/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/watch.h"

#include <errno.h>
#include <stdlib.h>

#include "runtime/loop-event.h"

/* The first ones have sources of their own: asking the set costs one call of the kernel more. */
#define OWN_MAX 8u

/* It has either a source of its own, or a place in the loop's set. */
struct WatchSource {
        sd_event_source *own;
        unsigned *n_own; /* counts it */
        WatchSet *set;
        WatchMember member;
};

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Watch *w = userdata;

        w->fn(revents, w->userdata);
        return 0;
}

static struct WatchSource *source_new(Watch *w, void (*fn)(uint32_t events, void *userdata), void *userdata)
{
        *w = (Watch){.fn = fn, .userdata = userdata};
        w->source = calloc(1, sizeof *w->source);
        return w->source;
}

static struct WatchSource *source_free(struct WatchSource *s)
{
        if (!s)
                return NULL;
        if (s->set)
                watch_set_remove(s->set, &s->member);
        if (s->n_own)
                --*s->n_own;
        sd_event_source_disable_unref(s->own);
        free(s);
        return NULL;
}

int watch_start(Watch *w, Loop *loop, int fd, uint32_t events, void (*fn)(uint32_t events, void *userdata),
                void *userdata)
{
        struct WatchSource *s = source_new(w, fn, userdata);
        int r = s ? sd_event_add_io(loop_event(loop), &s->own, fd, events, on_io, w) : -ENOMEM;

        if (r < 0)
                watch_stop(w);
        return r;
}

static int join_set(struct WatchSource *s, Loop *loop)
{
        WatchSet *set;
        int r = loop_watch_set(loop, &set);

        if (r >= 0)
                r = watch_set_add(set, &s->member);
        if (r >= 0)
                s->set = set;
        return r;
}

int watch_start_one_of_many(Watch *w, Loop *loop, int fd, uint32_t events,
                void (*fn)(uint32_t events, void *userdata), void *userdata)
{
        unsigned *n_own = loop_own_watches(loop);
        struct WatchSource *s;
        int r;

        if (*n_own < OWN_MAX) {
                r = watch_start(w, loop, fd, events, fn, userdata);
                if (r >= 0) {
                        w->source->n_own = n_own;
                        ++*n_own;
                }
                return r;
        }
        s = source_new(w, fn, userdata);
        if (!s)
                return -ENOMEM;
        s->member = (WatchMember){.fd = fd, .events = events, .fn = fn, .userdata = userdata};
        r = join_set(s, loop);
        if (r < 0)
                watch_stop(w);
        return r;
}

void watch_stop(Watch *w)
{
        w->source = source_free(w->source);
}

void watch_change(Watch *w, uint32_t events)
{
        struct WatchSource *s = w->source;

        if (s && s->set)
                watch_set_change(s->set, &s->member, events);
        else if (s)
                (void) sd_event_source_set_io_events(s->own, events);
}

void watch_pause(Watch *w, bool pause)
{
        struct WatchSource *s = w->source;

        if (s && s->set)
                watch_set_pause(s->set, &s->member, pause);
        else if (s)
                (void) sd_event_source_set_enabled(s->own, pause ? SD_EVENT_OFF : SD_EVENT_ON);
}
