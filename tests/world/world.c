/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world/inside.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "world/disk.h"
#include "world/scheduler.h"

#define BEGIN_USEC    (3600 * USEC_PER_SEC)
#define REALTIME_USEC (1767225600 * USEC_PER_SEC)
#define ROUNDS_MAX    100000u /* more rounds at one point in time mean an endless loop */

struct Loop {
        Waits waits;
        Process *process;
        Owned owned;
        bool freed; /* but not what waits on it */
        LoopStop stop;
        LoopReload reload;
        void (*post)(void *userdata);
        void *stop_userdata, *reload_userdata, *post_userdata;
        LoopWork *deferred;
        bool stopping, exited;
        int code;
        Loop *prev, *next;
};

typedef struct AtEnd {
        void (*fn)(void *p);
        void *p;
        struct AtEnd *next;
} AtEnd;

static struct {
        unsigned turn;
        Waits waits; /* of the world itself */
        Loop *loops;
        AtEnd *at_end;
        char directory[64];
} world;

void world_begin(void)
{
        memset(&world, 0, sizeof world);
        scheduler_begin(1);
        scheduler_set_now(BEGIN_USEC);
        source_world_begin();
        fake_disk_reset();
        net_world_begin();
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
        process_world_end();
        child_world_end();
        net_world_end();
        machine_world_end();
        scheduler_end();
        assert(!world.loops);
        source_world_end();
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

/* world_end() calls it. */
static void free_at_end(void (*fn)(void *p), void *p)
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
        free_at_end(free, p);
        return p;
}

char *world_strdup(const char *s)
{
        return s ? strcpy(world_alloc(strlen(s) + 1), s) : NULL;
}

/* Time. */

uint64_t now_usec(clockid_t clock)
{
        const uint64_t now = world_now();

        if (clock != CLOCK_REALTIME)
                return now;
        return REALTIME_USEC + now - BEGIN_USEC +
               (uint64_t) machine_clock_offset(process_machine(process_current()));
}

void world_sleep(uint64_t usec)
{
        scheduler_set_now(world_now() + usec);
}

/* Loops. */

Waits *loop_waits(Loop *l)
{
        return l ? &l->waits : &world.waits;
}

static void release(Loop *l)
{
        if (l->freed && !l->waits.sources && !l->waits.alarms)
                free(l);
}

void loop_waits_less(Loop *l)
{
        if (l)
                release(l);
}

static void reclaim(Owned *o)
{
        Loop *l = CONTAINER_OF(o, Loop, owned);

        DL_DELETE(world.loops, l);
        process_remove_loop(l->process, l);
        l->freed = true;
        release(l);
}

int loop_new(LoopStop stop, void *userdata, Loop **ret)
{
        HOST_SCOPE;
        Loop *l = calloc(1, sizeof *l);

        assert(l);
        l->stop = stop;
        l->stop_userdata = userdata;
        l->process = process_current();
        DL_APPEND(world.loops, l);
        owned_add(&l->owned, reclaim);
        process_add_loop(l->process, l);
        *ret = l;
        return 0;
}

Loop *loop_free(Loop *l)
{
        if (!l)
                return NULL;
        owned_remove(&l->owned);
        reclaim(&l->owned);
        return NULL;
}

void loop_wake(Loop *l)
{
        if (l)
                process_wake(l->process);
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
        loop_wake(l);
}

void loop_cancel(Loop *l, LoopWork *work)
{
        if (!work->deferred)
                return;
        work->deferred = false;
        DL_DELETE(l->deferred, work);
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

static bool iterate(Loop *l)
{
        bool any = false;

        world.turn++;
        while ((!l || (is_left(l) && !l->exited)) && source_dispatch_one(l, world.turn))
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

        /* Finish the work that the test itself has added. */
        DL_FOREACH(world.loops, l)
                if (!l->exited)
                        end_iteration(l);
        do {
                any = iterate(NULL);
                DL_FOREACH(world.loops, l)
                        if (!l->exited && iterate(l)) {
                                any = true;
                                break; /* the list of loops may have changed */
                        }
                assert(++rounds < ROUNDS_MAX);
        } while (any);
}

static bool step_until(uint64_t end)
{
        uint64_t due;
        Loop *l;

        world_settle();
        due = alarms_next(NULL);
        DL_FOREACH(world.loops, l)
                if (!l->exited)
                        due = MIN(due, alarms_next(l));
        if (due > end || due == USEC_INFINITY)
                return false;
        scheduler_set_now(MAX(world_now(), due));
        world_settle();
        return true;
}

bool world_next(void)
{
        return step_until(USEC_INFINITY - 1);
}

void world_advance(uint64_t usec)
{
        uint64_t end = usec_add(world_now(), usec);

        while (step_until(end))
                ;
        scheduler_set_now(MAX(world_now(), end));
        world_settle();
}

int loop_iterate(Loop *l, uint64_t usec)
{
        end_iteration(l);
        return iterate(l);
}

/* The loop of a process. An iteration takes a moment of its processor. */
static void run_in_process(Loop *l)
{
        int signal;

        while (!l->exited) {
                while ((signal = process_take_signal(l->process)) > 0)
                        world_signal(l, signal);
                process_look(l->process);
                if (iterate(l) || process_was_woken(l->process))
                        thread_pause(1 + world_random(20));
                else if (!l->exited)
                        thread_wait(alarms_next(l));
        }
}

int loop_run(Loop *l)
{
        if (l->process) {
                run_in_process(l);
                return l->code;
        }
        do
                world_settle();
        while (!l->exited && world_next());
        assert(l->exited); /* otherwise the real loop would wait for ever */
        return l->code;
}
