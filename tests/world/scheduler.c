/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Virtual time, and which thread runs next. Two events at one time happen in the order in which they were
 * set, unless the running number begins anew between them. */

#include "world/scheduler.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/time-util.h"
#include "world/coroutine.h"
#include "world/memory.h"
#include "world/mix.h"

/* A time takes the high bits of a place in the heap, a running number the low ones. */
#define NUMBER_BITS 20u
#define NUMBER_MASK ((UINT64_C(1) << NUMBER_BITS) - 1)
#define LATEST      (UINT64_MAX >> NUMBER_BITS) /* 203 days */

struct Thread {
        Process *process;
        Coroutine *coroutine;
        void (*fn)(void *userdata);
        void *userdata;
        WorldCall resume;
        bool waiting;   /* for thread_wake() */
        bool due;       /* its time came while the process was frozen */
        Process *owner; /* of memory, when it left */
        Thread *prev, *next;
};

static struct {
        Heap events;
        uint64_t now, number, random;
        Thread *threads, *running;
        Process *owner; /* of what is allocated now */
} scheduler;

void scheduler_begin(uint64_t seed)
{
        scheduler.number = 0;
        scheduler.random = seed;
        scheduler.running = NULL;
        scheduler.owner = NULL;
}

void scheduler_end(void)
{
        WorldCall *e;

        assert(!scheduler.running);
        while (scheduler.events.n_items > 0) {
                e = CONTAINER_OF(heap_first(&scheduler.events), WorldCall, item);
                event_unset(e);
                if (e->once)
                        free(e);
        }
        heap_clear(&scheduler.events);
        assert(!scheduler.threads);
}

void scheduler_set_now(uint64_t usec)
{
        scheduler.now = usec;
}

uint64_t world_now(void)
{
        return scheduler.now;
}

uint64_t world_random(uint64_t n)
{
        return splitmix64(&scheduler.random) % n;
}

uint64_t world_random_between(uint64_t min, uint64_t max)
{
        return max > min ? min + world_random(max - min + 1) : min;
}

/* Memory. */

Process *memory_owner(void)
{
        return scheduler.owner;
}

Process *host_enter(void)
{
        Process *was = scheduler.owner;

        scheduler.owner = NULL;
        return was;
}

void host_leave(Process **was)
{
        scheduler.owner = *was;
}

/* Events. */

void event_set(WorldCall *e, uint64_t usec)
{
        HOST_SCOPE;
        const uint64_t at = MIN(MAX(usec, scheduler.now), LATEST);

        if (usec == USEC_INFINITY) {
                event_unset(e);
                return;
        }
        if (heap_put(&scheduler.events, &e->item, at << NUMBER_BITS | (scheduler.number++ & NUMBER_MASK)) <
                        0)
                abort();
}

void event_unset(WorldCall *e)
{
        heap_remove(&scheduler.events, &e->item);
}

bool event_is_set(const WorldCall *e)
{
        return e->item.position != HEAP_NOT_IN;
}

void world_call_at(uint64_t usec, void (*fn)(void *userdata), void *userdata, WorldCall **ret)
{
        HOST_SCOPE;
        WorldCall *e = calloc(1, sizeof *e);

        assert(e);
        *e = (WorldCall){.fn = fn, .userdata = userdata, .once = true};
        heap_item_init(&e->item);
        event_set(e, usec);
        if (ret)
                *ret = e;
}

void world_cancel(WorldCall *c)
{
        if (!c)
                return;
        event_unset(c);
        free(c);
}

static void call(WorldCall *e)
{
        void (*fn)(void *userdata) = e->fn;
        void *userdata = e->userdata;

        if (e->once)
                free(e);
        fn(userdata);
        process_reap();
}

void world_run(uint64_t until, bool (*done)(void *userdata), void *userdata)
{
        HeapItem *first;

        assert(!scheduler.running);
        while ((first = heap_first(&scheduler.events))) {
                WorldCall *e = CONTAINER_OF(first, WorldCall, item);
                const uint64_t at = first->due >> NUMBER_BITS;

                if (at > until)
                        break;
                scheduler.now = MAX(scheduler.now, at);
                event_unset(e);
                call(e);
                if (done && done(userdata))
                        return;
        }
        scheduler.now = MAX(scheduler.now, until);
}

/* Threads. */

Thread *thread_running(void)
{
        return scheduler.running;
}

Process *process_current(void)
{
        return scheduler.running ? scheduler.running->process : NULL;
}

static void enter(void *userdata)
{
        Thread *t = userdata;

        if (!process_may_run(t->process)) {
                t->due = true;
                return;
        }
        t->waiting = false;
        scheduler.running = t;
        scheduler.owner = t->owner;
        coroutine_enter(t->coroutine);
        t->owner = scheduler.owner;
        scheduler.running = NULL;
        scheduler.owner = NULL;
}

static void begin(void *userdata)
{
        Thread *t = userdata;

        t->fn(t->userdata);
        thread_exit();
}

Thread *thread_new(Process *p, void (*fn)(void *userdata), void *userdata)
{
        HOST_SCOPE;
        Thread *t = calloc(1, sizeof *t);

        assert(t);
        *t = (Thread){.process = p, .fn = fn, .userdata = userdata, .owner = p};
        t->coroutine = coroutine_new(begin, t);
        t->resume = (WorldCall){.fn = enter, .userdata = t};
        heap_item_init(&t->resume.item);
        DL_APPEND(scheduler.threads, t);
        event_set(&t->resume, scheduler.now);
        return t;
}

void thread_drop(Thread *t)
{
        if (!t)
                return;
        assert(t != scheduler.running);
        event_unset(&t->resume);
        DL_DELETE(scheduler.threads, t);
        coroutine_free(t->coroutine);
        free(t);
}

static void leave(void)
{
        coroutine_leave(scheduler.running->coroutine);
}

void thread_exit(void)
{
        scheduler.running->due = false;
        for (;;)
                leave();
}

void thread_wait(uint64_t until)
{
        Thread *t = scheduler.running;

        t->waiting = true;
        event_set(&t->resume, until);
        leave();
}

/* A thread that becomes ready waits a moment for a processor. */
void thread_wake(Thread *t)
{
        if (!t->waiting)
                return;
        t->waiting = false;
        event_set(&t->resume, scheduler.now + 1 + world_random(10));
}

void thread_pause(uint64_t usec)
{
        Thread *t = scheduler.running;

        if (!t)
                return;
        event_set(&t->resume, usec_add(scheduler.now, usec));
        leave();
}

void threads_continue(Process *p)
{
        Thread *t;

        DL_FOREACH(scheduler.threads, t)
                if (t->process == p && t->due) {
                        t->due = false;
                        event_set(&t->resume, scheduler.now);
                }
}
