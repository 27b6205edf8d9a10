/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <utlist.h>

#include "base/log.h"
#include "runtime/timer.h"

#define EXTEND_EVERY_USEC (5 * USEC_PER_SEC)
#define EXTEND_BY_USEC    (20 * USEC_PER_SEC)

struct Loop {
        sd_event *event;
        sd_event_source *terminate, *interrupt, *hangup;
        sd_event_source *rest;
        void (*on_rest)(void *userdata);
        void *rest_userdata;
        LoopWork *deferred;
        Timer watchdog;
        uint64_t watchdog_usec; /* 0: systemd does not watch */
        Timer extend;
        LoopStop stop;
        LoopReload reload;
        void *reload_userdata;
        bool (*alive)(void *userdata);
        void *alive_userdata;
        void *userdata;
        bool stopping;
        bool ready;
};

static int on_terminate(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata)
{
        Loop *l = userdata;

        if (!l->stop || l->stopping) {
                loop_exit(l, l->stopping ? EXIT_FAILURE : EXIT_SUCCESS);
                return 0;
        }
        l->stopping = true;
        l->stop(l->userdata);
        return 0;
}

static int on_hangup(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata)
{
        Loop *l = userdata;

        if (l->reload)
                l->reload(l->reload_userdata);
        return 0;
}

static void on_watchdog(void *userdata)
{
        Loop *l = userdata;

        if (!l->alive || l->alive(l->alive_userdata))
                (void) sd_notify(0, "WATCHDOG=1");
        (void) timer_arm_in(&l->watchdog, l->watchdog_usec / 2);
}

static void on_extend(void *userdata)
{
        Loop *l = userdata;

        loop_notify_extend(l, EXTEND_BY_USEC);
        (void) timer_arm_in(&l->extend, EXTEND_EVERY_USEC);
}

void loop_extend(Loop *l, bool on)
{
        if (on)
                on_extend(l);
        else
                timer_disarm(&l->extend);
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
}

void loop_cancel(Loop *l, LoopWork *work)
{
        if (!work->deferred)
                return;
        work->deferred = false;
        DL_DELETE(l->deferred, work);
}

static void do_rest(Loop *l)
{
        LoopWork *work;

        if (l->on_rest)
                l->on_rest(l->rest_userdata);
        while (l->deferred) {
                while ((work = l->deferred)) {
                        loop_cancel(l, work);
                        work->run(work->userdata);
                }
                if (l->on_rest)
                        l->on_rest(l->rest_userdata);
        }
}

static int on_rest(sd_event_source *s, void *userdata)
{
        do_rest(userdata);
        return 0;
}

int loop_new(LoopStop stop, LoopReload reload, void *userdata, Loop **ret)
{
        int r;

        _cleanup_(loop_freep) Loop *l = calloc(1, sizeof *l);
        if (!l)
                return -ENOMEM;
        l->stop = stop;
        l->reload = reload;
        l->userdata = l->reload_userdata = userdata;

        (void) signal(SIGPIPE, SIG_IGN);
        r = sd_event_default(&l->event);
        if (r < 0)
                return r;
        r = add_signal(l, SIGTERM, on_terminate, &l->terminate);
        if (r < 0)
                return r;
        r = add_signal(l, SIGINT, on_terminate, &l->interrupt);
        if (r < 0)
                return r;
        r = add_signal(l, SIGHUP, on_hangup, &l->hangup);
        if (r < 0)
                return r;

        r = sd_event_add_post(l->event, &l->rest, on_rest, l);
        if (r >= 0)
                r = sd_event_source_set_priority(l->rest, SD_EVENT_PRIORITY_NORMAL + 5);
        if (r < 0)
                return r;
        r = timer_init(&l->watchdog, l, "watchdog", on_watchdog, l);
        if (r >= 0)
                r = timer_init(&l->extend, l, "extend", on_extend, l);
        if (r < 0)
                return r;
        r = sd_watchdog_enabled(0, &l->watchdog_usec);
        if (r < 0)
                return r;
        if (r > 0)
                (void) timer_arm_in(&l->watchdog, l->watchdog_usec / 2);

        *ret = TAKE_PTR(l);
        return 0;
}

Loop *loop_free(Loop *l)
{
        if (!l)
                return NULL;
        timer_clear(&l->watchdog);
        timer_clear(&l->extend);
        sd_event_source_disable_unref(l->terminate);
        sd_event_source_disable_unref(l->interrupt);
        sd_event_source_disable_unref(l->hangup);
        sd_event_source_disable_unref(l->rest);
        sd_event_unref(l->event);
        free(l);
        return NULL;
}

sd_event *loop_event(Loop *l)
{
        return l->event;
}

uint64_t loop_now(Loop *l, clockid_t clock)
{
        uint64_t usec = 0;

        (void) sd_event_now(l->event, clock, &usec);
        return usec;
}

void loop_set_post(Loop *l, void (*rest)(void *userdata), void *userdata)
{
        l->on_rest = rest;
        l->rest_userdata = userdata;
}

int loop_run(Loop *l)
{
        do_rest(l); /* what was begun before the first iteration */
        return sd_event_loop(l->event);
}

int loop_iterate(Loop *l, uint64_t usec)
{
        do_rest(l);
        return sd_event_run(l->event, usec);
}

void loop_exit(Loop *l, int code)
{
        (void) sd_event_exit(l->event, code);
}

void loop_set_reload(Loop *l, LoopReload reload, void *userdata)
{
        l->reload = reload;
        l->reload_userdata = userdata;
}

void loop_set_alive_check(Loop *l, bool (*alive)(void *userdata), void *userdata)
{
        l->alive = alive;
        l->alive_userdata = userdata;
}

void loop_notify_status(Loop *l, const char *format, ...)
{
        char text[256];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(text, sizeof text, format, ap);
        va_end(ap);
        (void) sd_notifyf(0, "STATUS=%s", text);
}

void loop_notify_ready(Loop *l)
{
        if (l->ready)
                return;
        l->ready = true;
        (void) sd_notify(0, "READY=1");
}

void loop_notify_stopping(Loop *l)
{
        (void) sd_notify(0, "STOPPING=1");
}

void loop_notify_extend(Loop *l, uint64_t usec)
{
        (void) sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%llu", (unsigned long long) usec);
}
