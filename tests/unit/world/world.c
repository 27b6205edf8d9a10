/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world/inside.h"

#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "fake/disk.h"
#include "runtime/timer.h"
#include "runtime/watch.h"

#define BEGIN_USEC    (3600 * USEC_PER_SEC)
#define REALTIME_USEC (1767225600 * USEC_PER_SEC)
#define ROUNDS_MAX    100000u /* more without time moving is a loop that never ends */

struct Loop {
        LoopStop stop;
        LoopReload reload;
        void (*post)(void *userdata);
        void *stop_userdata, *reload_userdata, *post_userdata;
        LoopWork *deferred;
        bool stopping, exited;
        int code;
        Loop *prev, *next;
};

typedef struct Descriptor {
        int fd;
        bool (*is_ready)(int fd, uint32_t events, void *userdata);
        void *userdata;
        struct Descriptor *prev, *next;
} Descriptor;

typedef struct AtEnd {
        void (*fn)(void *p);
        void *p;
        struct AtEnd *next;
} AtEnd;

static struct {
        uint64_t now, realtime;
        unsigned turn;
        int next_fd;
        Loop *loops;
        Source *sources;
        Alarm *alarms;
        Descriptor *descriptors;
        AtEnd *at_end;
        char directory[64];
} world;

void world_begin(void)
{
        memset(&world, 0, sizeof world);
        world.now = BEGIN_USEC;
        world.realtime = REALTIME_USEC;
        world.next_fd = FD_FIRST;
        fake_disk_reset();
        connection_world_begin();
        listen_world_begin();
        http_server_world_begin();
        http_client_world_begin();
        child_world_begin();
        worker_world_begin();
        notify_world_begin();
        random_world_begin();
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        return remove(path);
}

void world_end(void)
{
        AtEnd *next;

        for (AtEnd *a = world.at_end; a; a = next) {
                next = a->next;
                a->fn(a->p);
                free(a);
        }
        world.at_end = NULL;
        assert(!world.loops && !world.alarms && !world.sources);
        for (Descriptor *d, *tmp; (d = world.descriptors);) {
                (void) tmp;
                DL_DELETE(world.descriptors, d);
                free(d);
        }
        if (world.directory[0])
                (void) nftw(world.directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        world.directory[0] = '\0';
}

const char *world_directory(void)
{
        if (!world.directory[0]) {
                (void) snprintf(world.directory, sizeof world.directory, "%s/ackgroup-world-XXXXXX",
                                access("/dev/shm", W_OK) >= 0 ? "/dev/shm" : "/tmp");
                assert(mkdtemp(world.directory));
        }
        return world.directory;
}

void world_free_at_end(void (*fn)(void *p), void *p)
{
        AtEnd *a = calloc(1, sizeof *a);

        assert(a);
        *a = (AtEnd){.fn = fn, .p = p, .next = world.at_end};
        world.at_end = a;
}

void *world_alloc(size_t n)
{
        void *p = calloc(1, n);

        assert(p);
        world_free_at_end(free, p);
        return p;
}

char *world_strdup(const char *s)
{
        return s ? strcpy(world_alloc(strlen(s) + 1), s) : NULL;
}

/* Time. */

uint64_t now_usec(clockid_t clock)
{
        return clock == CLOCK_REALTIME ? world.realtime + world.now - BEGIN_USEC : world.now;
}

void world_set_clock(uint64_t usec)
{
        world.realtime = usec - (world.now - BEGIN_USEC);
}

void world_sleep(uint64_t usec)
{
        world.now += usec;
}

void alarm_add(Alarm *a, Loop *loop, void (*fn)(void *userdata), void *userdata)
{
        *a = (Alarm){.loop = loop, .due = USEC_INFINITY, .fn = fn, .userdata = userdata};
        DL_APPEND(world.alarms, a);
}

void alarm_remove(Alarm *a)
{
        if (a->fn)
                DL_DELETE(world.alarms, a);
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
                t->due = MAX(usec, world.now);
        return 0;
}

int timer_arm_in(Timer *t, uint64_t usec)
{
        return timer_arm_at(t, usec_add(world.now, usec));
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
        return world.now > t->due ? world.now - t->due : 0;
}

/* Sources. */

void source_add(Source *s, Loop *loop, bool (*is_ready)(Source *s), void (*dispatch)(Source *s))
{
        *s = (Source){.loop = loop, .is_ready = is_ready, .dispatch = dispatch};
        DL_APPEND(world.sources, s);
}

void source_remove(Source *s)
{
        if (s->dispatch)
                DL_DELETE(world.sources, s);
        s->dispatch = NULL;
}

static Descriptor *descriptor(int fd)
{
        Descriptor *d;

        DL_FOREACH(world.descriptors, d)
                if (d->fd == fd)
                        return d;
        return NULL;
}

int fd_new(bool (*is_ready)(int fd, uint32_t events, void *userdata), void *userdata)
{
        Descriptor *d = calloc(1, sizeof *d);

        assert(d);
        *d = (Descriptor){.fd = world.next_fd++, .is_ready = is_ready, .userdata = userdata};
        DL_APPEND(world.descriptors, d);
        return d->fd;
}

void fd_free(int fd)
{
        Descriptor *d = descriptor(fd);

        if (d)
                DL_DELETE(world.descriptors, d);
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

/* Loops. */

int loop_new(LoopStop stop, void *userdata, Loop **ret)
{
        Loop *l = calloc(1, sizeof *l);

        assert(l);
        l->stop = stop;
        l->stop_userdata = userdata;
        DL_APPEND(world.loops, l);
        *ret = l;
        return 0;
}

Loop *loop_free(Loop *l)
{
        if (l)
                DL_DELETE(world.loops, l);
        free(l);
        return NULL;
}

void loop_set_reload(Loop *l, LoopReload reload, void *userdata)
{
        l->reload = reload;
        l->reload_userdata = userdata;
}

void loop_set_post(Loop *l, void (*post)(void *userdata), void *userdata)
{
        l->post = post;
        l->post_userdata = userdata;
}

uint64_t loop_now(Loop *l, clockid_t clock)
{
        return now_usec(clock);
}

void loop_exit(Loop *l, int code)
{
        if (!l->exited)
                l->code = code;
        l->exited = true;
}

bool world_has_exited(const Loop *l, int *ret_code)
{
        if (l->exited && ret_code)
                *ret_code = l->code;
        return l->exited;
}

void world_signal(Loop *l, int number)
{
        if (number == SIGHUP) {
                if (l->reload)
                        l->reload(l->reload_userdata);
        } else if (!l->stop || l->stopping)
                loop_exit(l, l->stopping ? EXIT_FAILURE : EXIT_SUCCESS);
        else {
                l->stopping = true;
                l->stop(l->stop_userdata);
        }
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

static bool is_running(const Loop *l)
{
        return !l || !l->exited;
}

static bool is_left(const Loop *l)
{
        Loop *i;

        DL_FOREACH(world.loops, i)
                if (i == l)
                        return true;
        return false;
}

static void end_iteration(Loop *l)
{
        if (l->post)
                l->post(l->post_userdata);
        while (is_left(l) && l->deferred && !l->exited) {
                LoopWork *work;

                while (is_left(l) && (work = l->deferred)) {
                        loop_cancel(l, work);
                        work->run(work->userdata);
                }
                if (is_left(l) && l->post)
                        l->post(l->post_userdata);
        }
}

/* One thing that is ready and was not dispatched in this turn. */
static bool dispatch_one(Loop *l)
{
        Alarm *a, *first = NULL;
        Source *s;

        DL_FOREACH(world.sources, s)
                if (s->loop == l && s->turn != world.turn && s->is_ready(s)) {
                        s->turn = world.turn;
                        s->dispatch(s);
                        return true;
                }
        DL_FOREACH(world.alarms, a)
                if (a->loop == l && a->due <= world.now && a->turn != world.turn &&
                                (!first || a->due < first->due))
                        first = a;
        if (!first)
                return false;
        first->turn = world.turn;
        first->due = USEC_INFINITY;
        first->fn(first->userdata);
        return true;
}

static bool iterate(Loop *l)
{
        bool any = false;

        world.turn++;
        while ((!l || is_left(l)) && is_running(l) && dispatch_one(l))
                any = true;
        if (l && is_left(l) && !l->exited && (any || l->deferred))
                end_iteration(l);
        return any;
}

void world_settle(void)
{
        unsigned rounds = 0;
        bool any;
        Loop *l;

        /* What the test itself has called. */
        DL_FOREACH(world.loops, l)
                if (!l->exited)
                        end_iteration(l);
        do {
                any = iterate(NULL);
                DL_FOREACH(world.loops, l)
                        if (!l->exited && iterate(l)) {
                                any = true;
                                break; /* the list may be another one */
                        }
                assert(++rounds < ROUNDS_MAX);
        } while (any);
}

static uint64_t next_alarm(void)
{
        uint64_t due = USEC_INFINITY;
        Alarm *a;

        DL_FOREACH(world.alarms, a)
                if (is_running(a->loop))
                        due = MIN(due, a->due);
        return due;
}

static bool step_until(uint64_t end)
{
        uint64_t due;

        world_settle();
        due = next_alarm();
        if (due > end || due == USEC_INFINITY)
                return false;
        world.now = MAX(world.now, due);
        world_settle();
        return true;
}

bool world_next(void)
{
        return step_until(USEC_INFINITY - 1);
}

void world_advance(uint64_t usec)
{
        uint64_t end = usec_add(world.now, usec);

        while (step_until(end))
                ;
        world.now = MAX(world.now, end);
        world_settle();
}

bool world_run_until(bool (*done)(void *userdata), void *userdata, uint64_t usec)
{
        uint64_t end = usec_add(world.now, usec);

        world_settle();
        while (!done(userdata))
                if (!step_until(end))
                        return false;
        return true;
}

int loop_iterate(Loop *l, uint64_t usec)
{
        end_iteration(l);
        return iterate(l);
}

int loop_run(Loop *l)
{
        do
                world_settle();
        while (!l->exited && world_next());
        assert(l->exited); /* else it would wait for ever */
        return l->code;
}
