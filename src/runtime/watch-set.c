/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/watch-set.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"

/* The kernel returns those first that it has not returned for the longest time. */
#define AT_ONCE   64u
#define ROUND_MAX 256u /* then others have their turn */

struct WatchSet {
        int epoll;
        sd_event_source *source;
        unsigned *n_callbacks;
        struct epoll_event ready[AT_ONCE]; /* .data.ptr is NULL: not to be called */
        unsigned n, next;                  /* those from `next` on are still to be called */
};

/* Returns how many were ready. */
static unsigned call_some(WatchSet *s)
{
        const int n = epoll_wait(s->epoll, s->ready, AT_ONCE, 0);

        s->n = n > 0 ? (unsigned) n : 0;
        for (s->next = 0; s->next < s->n;) {
                const struct epoll_event *e = s->ready + s->next++;
                const WatchMember *m = e->data.ptr;

                if (m)
                        m->fn(e->events, m->userdata);
        }
        return s->n;
}

static int on_ready(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        WatchSet *s = userdata;
        unsigned n = 0, some;

        do
                n += some = call_some(s);
        while (some == AT_ONCE && n < ROUND_MAX);
        *s->n_callbacks += n;
        return 0;
}

int watch_set_new(sd_event *event, unsigned *n_callbacks, WatchSet **ret)
{
        WatchSet *s = calloc(1, sizeof *s);
        int r;

        if (!s)
                return -ENOMEM;
        s->n_callbacks = n_callbacks;
        s->epoll = epoll_create1(EPOLL_CLOEXEC);
        r = s->epoll < 0 ? -errno : sd_event_add_io(event, &s->source, s->epoll, EPOLLIN, on_ready, s);
        if (r < 0) {
                watch_set_free(s);
                return r;
        }
        *ret = s;
        return 0;
}

WatchSet *watch_set_free(WatchSet *s)
{
        if (!s)
                return NULL;
        sd_event_source_disable_unref(s->source);
        (void) close_clear(&s->epoll);
        free(s);
        return NULL;
}

static void forget(WatchSet *s, const WatchMember *m)
{
        for (unsigned i = s->next; i < s->n; i++)
                if (s->ready[i].data.ptr == m)
                        s->ready[i].data.ptr = NULL;
}

static int control(WatchSet *s, int what, WatchMember *m)
{
        struct epoll_event e = {.events = m->events, .data.ptr = m};

        return epoll_ctl(s->epoll, what, m->fd, &e) < 0 ? -errno : 0;
}

int watch_set_add(WatchSet *s, WatchMember *m)
{
        m->paused = false;
        return control(s, EPOLL_CTL_ADD, m);
}

void watch_set_remove(WatchSet *s, WatchMember *m)
{
        watch_set_pause(s, m, true);
}

void watch_set_change(WatchSet *s, WatchMember *m, uint32_t events)
{
        if (m->events == events)
                return;
        m->events = events;
        if (m->paused)
                return;
        forget(s, m);
        (void) control(s, EPOLL_CTL_MOD, m);
}

/* The kernel reports errors of all that it watches, so what is paused leaves it. */
void watch_set_pause(WatchSet *s, WatchMember *m, bool pause)
{
        if (m->paused == pause)
                return;
        m->paused = pause;
        forget(s, m);
        (void) control(s, pause ? EPOLL_CTL_DEL : EPOLL_CTL_ADD, m);
}
