/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "runtime/loop-event.h"

/* Deferred work may defer again. After so many rounds descriptors and timers have their turn first. */
#define ROUNDS_MAX 16u
/* Descriptors may be ready all the time. After so many callbacks the end of the iteration has its turn. */
#define CALLBACKS_MAX 256u

#define END_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 5)

struct Loop {
        sd_event *event;
        sd_event_source *terminate, *interrupt, *hangup;
        sd_event_source *end;   /* runs at the end of an iteration */
        unsigned n_callbacks;   /* since the end of the last iteration */
        bool end_is_next;       /* there were enough of them */
        sd_event_source *again; /* makes another iteration happen */
        void (*post)(void *userdata);
        void *post_userdata;
        LoopWork *deferred;
        size_t n_deferred;
        LoopStop stop;
        void *stop_userdata;
        LoopReload reload;
        void *reload_userdata;
        bool stopping;
        WatchSet *set;
        unsigned n_own_watches;
        uint64_t now[CLOCK_BOOTTIME + 1]; /* by clock, of this iteration; 0: nobody has asked */
};

static int on_terminate(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata)
{
        Loop *l = userdata;

        if (!l->stop || l->stopping) {
                loop_exit(l, l->stopping ? EXIT_FAILURE : EXIT_SUCCESS);
                return 0;
        }
        l->stopping = true;
        l->stop(l->stop_userdata);
        return 0;
}

static int on_hangup(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata)
{
        Loop *l = userdata;

        if (l->reload)
                l->reload(l->reload_userdata);
        return 0;
}

static int add_signal(Loop *l, int signal, sd_event_signal_handler_t handler, sd_event_source **ret)
{
        sigset_t set;

        (void) sigemptyset(&set);
        (void) sigaddset(&set, signal);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        return sd_event_add_signal(l->event, ret, signal, handler, l);
}

void loop_defer(Loop *l, LoopWork *work)
{
        if (work->deferred)
                return;
        work->deferred = true;
        DL_APPEND(l->deferred, work);
        l->n_deferred++;
}

void loop_cancel(Loop *l, LoopWork *work)
{
        if (!work->deferred)
                return;
        work->deferred = false;
        DL_DELETE(l->deferred, work);
        l->n_deferred--;
}

static void call_post(Loop *l)
{
        if (l->post)
                l->post(l->post_userdata);
}

static void end_iteration(Loop *l)
{
        call_post(l);
        for (unsigned i = 0; i < ROUNDS_MAX && l->deferred; i++) {
                for (size_t n = l->n_deferred; n > 0 && l->deferred; n--) {
                        LoopWork *work = l->deferred;

                        loop_cancel(l, work);
                        work->run(work->userdata);
                }
                call_post(l);
        }
        if (l->deferred)
                (void) sd_event_source_set_enabled(l->again, SD_EVENT_ONESHOT);
}

/* sd-event calls this before it calls back one source that is ready. */
static int before_callback(sd_event_source *s, void *userdata)
{
        Loop *l = userdata;

        memset(l->now, 0, sizeof l->now);
        if (++l->n_callbacks >= CALLBACKS_MAX && !l->end_is_next) {
                l->end_is_next = true;
                (void) sd_event_source_set_priority(s, SD_EVENT_PRIORITY_IMPORTANT);
        }
        return 0;
}

static int on_end(sd_event_source *s, void *userdata)
{
        Loop *l = userdata;

        if (l->end_is_next)
                (void) sd_event_source_set_priority(s, END_PRIORITY);
        l->end_is_next = false;
        l->n_callbacks = 0;
        end_iteration(l);
        return 0;
}

static int on_again(sd_event_source *s, void *userdata)
{
        return 0;
}

static int add_sources(Loop *l)
{
        int r;

        r = add_signal(l, SIGTERM, on_terminate, &l->terminate);
        if (r >= 0)
                r = add_signal(l, SIGINT, on_terminate, &l->interrupt);
        if (r >= 0)
                r = add_signal(l, SIGHUP, on_hangup, &l->hangup);
        if (r >= 0)
                r = sd_event_add_post(l->event, &l->end, on_end, l);
        if (r >= 0)
                r = sd_event_source_set_priority(l->end, END_PRIORITY);
        if (r >= 0)
                r = sd_event_source_set_prepare(l->end, before_callback);
        if (r >= 0)
                r = sd_event_add_defer(l->event, &l->again, on_again, l);
        if (r >= 0)
                r = sd_event_source_set_priority(l->again, SD_EVENT_PRIORITY_NORMAL + 6);
        if (r >= 0)
                r = sd_event_source_set_enabled(l->again, SD_EVENT_OFF);
        return r;
}

int loop_new(LoopStop stop, void *userdata, Loop **ret)
{
        int r;

        _cleanup_(loop_freep) Loop *l = calloc(1, sizeof *l);
        if (!l)
                return -ENOMEM;
        l->stop = stop;
        l->stop_userdata = userdata;
        (void) signal(SIGPIPE, SIG_IGN);
        r = sd_event_default(&l->event);
        if (r >= 0)
                r = add_sources(l);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

Loop *loop_free(Loop *l)
{
        if (!l)
                return NULL;
        sd_event_source_disable_unref(l->terminate);
        sd_event_source_disable_unref(l->interrupt);
        sd_event_source_disable_unref(l->hangup);
        sd_event_source_disable_unref(l->end);
        sd_event_source_disable_unref(l->again);
        watch_set_free(l->set);
        sd_event_unref(l->event);
        free(l);
        return NULL;
}

void loop_set_reload(Loop *l, LoopReload reload, void *userdata)
{
        l->reload = reload;
        l->reload_userdata = userdata;
}

sd_event *loop_event(Loop *l)
{
        return l->event;
}

int loop_watch_set(Loop *l, WatchSet **ret)
{
        int r = l->set ? 0 : watch_set_new(l->event, &l->n_callbacks, &l->set);

        if (r >= 0)
                *ret = l->set;
        return r;
}

unsigned *loop_own_watches(Loop *l)
{
        return &l->n_own_watches;
}

uint64_t loop_now(Loop *l, clockid_t clock)
{
        uint64_t usec = l->now[clock];

        /* A positive result: the loop does not run yet, so this is no time of an iteration. */
        if (usec == 0 && sd_event_now(l->event, clock, &usec) == 0)
                l->now[clock] = usec;
        return usec;
}

void loop_set_post(Loop *l, void (*post)(void *userdata), void *userdata)
{
        l->post = post;
        l->post_userdata = userdata;
}

int loop_run(Loop *l)
{
        end_iteration(l); /* for what was deferred or submitted before the first iteration */
        return sd_event_loop(l->event);
}

int loop_iterate(Loop *l, uint64_t usec)
{
        end_iteration(l);
        return sd_event_run(l->event, usec);
}

void loop_exit(Loop *l, int code)
{
        (void) sd_event_exit(l->event, code);
}
