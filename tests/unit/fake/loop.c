/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake/loop.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/clock.h"

#define START         (1000 * USEC_PER_SEC)
#define REALTIME_LEAD (1700000000 * USEC_PER_SEC) /* CLOCK_REALTIME minus CLOCK_BOOTTIME */

struct Loop {
        LoopStop stop;
        LoopReload reload;
        void (*post)(void *userdata);
        void *userdata, *reload_userdata, *post_userdata;
        LoopWork *works;
        bool over;
        int code;
};

/* A Timer or a Watch points to a FakeSource in place of its event source. */
typedef struct FakeSource FakeSource;
struct FakeSource {
        Timer *timer;
        Watch *watch;
        bool armed;
        uint64_t due, order; /* order: timers with the same time fire in the order of arming */
        int fd;
        uint32_t events, ready;
        FakeSource *prev, *next;
};

static uint64_t now = START, order;
static Loop *the_loop;
static FakeSource *sources;
static bool (*idle)(void *userdata);
static void *idle_userdata;

void fake_loop_reset(void)
{
        assert(!the_loop && !sources);
        now = START;
        order = 0;
        idle = NULL;
}

void fake_loop_set_idle(bool (*fn)(void *userdata), void *userdata)
{
        idle = fn;
        idle_userdata = userdata;
}

uint64_t now_usec(clockid_t clock)
{
        return clock == CLOCK_REALTIME ? now + REALTIME_LEAD : now;
}

void fake_clock_jump(uint64_t usec)
{
        now += usec;
}

int loop_new(LoopStop stop, void *userdata, Loop **ret)
{
        assert(!the_loop);
        the_loop = calloc(1, sizeof *the_loop);
        assert(the_loop);
        the_loop->stop = stop;
        the_loop->userdata = userdata;
        *ret = the_loop;
        return 0;
}

Loop *loop_free(Loop *l)
{
        assert(!l || l == the_loop);
        free(l);
        if (l)
                the_loop = NULL;
        return NULL;
}

void loop_set_reload(Loop *l, LoopReload reload, void *userdata)
{
        l->reload = reload;
        l->reload_userdata = userdata;
}

void fake_loop_stop(void)
{
        if (the_loop->stop)
                the_loop->stop(the_loop->userdata);
        else
                loop_exit(the_loop, 0);
}

void fake_loop_reload(void)
{
        if (the_loop->reload)
                the_loop->reload(the_loop->reload_userdata);
}

void loop_exit(Loop *l, int code)
{
        l->over = true;
        l->code = code;
}

bool fake_loop_is_over(void)
{
        return the_loop->over;
}

int fake_loop_code(void)
{
        return the_loop->code;
}

uint64_t loop_now(Loop *l, clockid_t clock)
{
        return now_usec(clock);
}

void loop_set_post(Loop *l, void (*post)(void *userdata), void *userdata)
{
        l->post = post;
        l->post_userdata = userdata;
}

void loop_defer(Loop *l, LoopWork *work)
{
        if (work->deferred)
                return;
        work->deferred = true;
        DL_APPEND(l->works, work);
}

void loop_cancel(Loop *l, LoopWork *work)
{
        if (!work->deferred)
                return;
        work->deferred = false;
        DL_DELETE(l->works, work);
}

static FakeSource *source_new(FakeSource init)
{
        FakeSource *s = malloc(sizeof *s);

        assert(s);
        *s = init;
        DL_APPEND(sources, s);
        return s;
}

static void source_free(void *source)
{
        FakeSource *s = source;

        if (!s)
                return;
        DL_DELETE(sources, s);
        free(s);
}

int timer_init(Timer *t, Loop *loop, const char *description, void (*fn)(void *userdata), void *userdata)
{
        assert(loop == the_loop);
        *t = (Timer){.fn = fn, .userdata = userdata};
        t->source = (struct sd_event_source *) source_new((FakeSource){.timer = t});
        return 0;
}

void timer_clear(Timer *t)
{
        source_free(t->source);
        t->source = NULL;
}

int timer_arm_at(Timer *t, uint64_t usec)
{
        FakeSource *s = (FakeSource *) t->source;

        if (usec == USEC_INFINITY) {
                timer_disarm(t);
                return 0;
        }
        t->due = MAX(usec, now);
        s->due = usec;
        s->order = order++;
        s->armed = true;
        return 0;
}

int timer_arm_in(Timer *t, uint64_t usec)
{
        return timer_arm_at(t, usec_add(now, usec));
}

void timer_disarm(Timer *t)
{
        if (t->source)
                ((FakeSource *) t->source)->armed = false;
}

bool timer_is_armed(const Timer *t)
{
        return t->source && ((const FakeSource *) t->source)->armed;
}

uint64_t timer_late(const Timer *t)
{
        return now > t->due ? now - t->due : 0;
}

int watch_start(Watch *w, Loop *loop, int fd, uint32_t events, void (*fn)(uint32_t events, void *userdata),
                void *userdata)
{
        assert(loop == the_loop);
        *w = (Watch){.fn = fn, .userdata = userdata};
        w->source = (struct WatchSource *) source_new(
                        (FakeSource){.watch = w, .fd = fd, .events = events, .armed = true});
        return 0;
}

void watch_stop(Watch *w)
{
        source_free(w->source);
        w->source = NULL;
}

void watch_change(Watch *w, uint32_t events)
{
        if (w->source)
                ((FakeSource *) w->source)->events = events;
}

void watch_pause(Watch *w, bool pause)
{
        if (w->source)
                ((FakeSource *) w->source)->armed = !pause;
}

bool fake_watch_ready(int fd, uint32_t events)
{
        bool any = false;

        for (FakeSource *s = sources; s; s = s->next)
                if (s->watch && s->fd == fd && s->armed && (events & (s->events | EPOLLERR | EPOLLHUP))) {
                        s->ready |= events;
                        any = true;
                }
        return any;
}

/* Searches from the start each time, because a callback may free any source. */
static FakeSource *find_ready(void)
{
        FakeSource *s = sources;

        while (s && !(s->watch && s->ready && s->armed))
                s = s->next;
        return s;
}

static bool fire_watch(void)
{
        FakeSource *s = find_ready();

        if (!s)
                return false;
        uint32_t events = s->ready & (s->events | EPOLLERR | EPOLLHUP);
        s->ready = 0;
        s->watch->fn(events, s->watch->userdata);
        return true;
}

static FakeSource *find_first_timer(void)
{
        FakeSource *first = NULL;

        for (FakeSource *s = sources; s; s = s->next)
                if (s->timer && s->armed &&
                                (!first || s->due < first->due ||
                                                (s->due == first->due && s->order < first->order)))
                        first = s;
        return first;
}

static bool fire_timer(void)
{
        FakeSource *s = find_first_timer();

        if (!s || s->due > now)
                return false;
        s->armed = false;
        s->timer->fn(s->timer->userdata);
        return true;
}

static void run_works(Loop *l)
{
        for (LoopWork *w; (w = l->works);) {
                loop_cancel(l, w);
                w->run(w->userdata);
        }
}

static void end_iteration(Loop *l)
{
        if (l->post)
                l->post(l->post_userdata);
        if (!l->works)
                return;
        run_works(l);
        if (l->post)
                l->post(l->post_userdata);
}

void fake_loop_run(uint64_t usec)
{
        uint64_t end = usec_add(now, usec);
        bool busy;

        do {
                end_iteration(the_loop); /* includes work that the test itself has added */
                while (fire_watch() || fire_timer())
                        end_iteration(the_loop);
                busy = idle && idle(idle_userdata);
                FakeSource *s = find_first_timer();
                if (!busy && s && s->due <= end) {
                        now = MAX(now, s->due);
                        busy = true;
                }
        } while (busy && !the_loop->over);
        now = MAX(now, end);
}
