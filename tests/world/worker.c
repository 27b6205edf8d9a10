/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* In a process the worker is a thread of its own, which stops at each operation of the disk
 * (thread_pause()). In a unit test it runs a batch when the world settles. */

#include "store/worker.h"

#include <limits.h>
#include <stdlib.h>

#include "world/inside.h"
#include "world/scheduler.h"

#define LAZY_USEC (20 * USEC_PER_MSEC)
#define BATCH_MAX 4096u

struct Worker {
        WorkerTask task;
        Owned owned;
        int fd;
        Source source;
        Alarm lazy;
        DbOpList submitted, finished;
        bool urgent, started, stopping;
        uint64_t since; /* arrival of the first operation in `submitted` */

        Thread *thread, *joining; /* of a process */
        Process *process;
        bool done;
        uint64_t busy_since; /* 0: no batch runs */
};

static bool held;

void worker_world_begin(void)
{
        held = false;
}

void world_hold_disk(bool hold)
{
        held = hold;
}

static bool has_finished(int fd, uint32_t events, void *userdata)
{
        return ((Worker *) userdata)->finished.first;
}

static bool is_ready(Source *s)
{
        const Worker *w = CONTAINER_OF(s, Worker, source);

        return w->started && !w->thread && !held && w->submitted.first && w->urgent;
}

static DbOp *take(Worker *w, unsigned max)
{
        DbOp *first = w->submitted.first, **end = &w->submitted.first;

        w->urgent = false;
        for (unsigned n = 0; *end && n < max; n++)
                end = &(*end)->next;
        if (!*end) {
                op_list_init(&w->submitted);
                return first;
        }
        w->submitted.first = *end;
        w->urgent = true; /* perhaps one of the rest is */
        *end = NULL;
        return first;
}

static void run(Worker *w)
{
        DbOp *first = take(w, UINT_MAX);

        w->lazy.due = USEC_INFINITY;
        w->task.run(first, w->task.userdata);
}

static void on_ready(Source *s)
{
        run(CONTAINER_OF(s, Worker, source));
}

static void on_lazy(void *userdata)
{
        ((Worker *) userdata)->urgent = true;
}

/* The thread. */

static void wait_for_work(Worker *w)
{
        while (!w->submitted.first && !w->stopping)
                thread_wait(USEC_INFINITY);
        const uint64_t until = usec_add(world_now(), LAZY_USEC);
        while (!w->urgent && !w->stopping && world_now() < until)
                thread_wait(until);
}

static void run_batches(void *userdata)
{
        Worker *w = userdata;

        for (;;) {
                wait_for_work(w);
                if (!w->submitted.first)
                        break;
                w->busy_since = world_now();
                w->task.run(take(w, BATCH_MAX), w->task.userdata);
                w->busy_since = 0;
                kill_point();
        }
        w->task.end(w->task.userdata);
        w->done = true;
        if (w->joining)
                thread_wake(w->joining);
}

static void reclaim(Owned *o)
{
        Worker *w = CONTAINER_OF(o, Worker, owned);

        thread_drop(w->thread);
        source_remove(&w->source);
        alarm_remove(&w->lazy);
        fd_free(w->fd);
        free(w);
}

int worker_new(const WorkerTask *task, Worker **ret)
{
        HOST_SCOPE;
        Worker *w = calloc(1, sizeof *w);

        assert(w);
        w->task = *task;
        op_list_init(&w->submitted);
        op_list_init(&w->finished);
        w->process = process_current();
        w->fd = fd_new(has_finished, w);
        source_add(&w->source, NULL, is_ready, on_ready);
        alarm_add(&w->lazy, NULL, on_lazy, w);
        owned_add(&w->owned, reclaim);
        *ret = w;
        return 0;
}

int worker_start(Worker *w)
{
        w->started = true;
        if (w->process)
                w->thread = thread_new(w->process, run_batches, w);
        return 0;
}

static void join(Worker *w)
{
        w->stopping = true;
        thread_wake(w->thread);
        w->joining = thread_running();
        while (!w->done)
                thread_wait(USEC_INFINITY);
        thread_drop(w->thread);
        w->thread = w->joining = NULL;
}

void worker_stop(Worker *w)
{
        if (!w->started)
                return;
        if (w->thread)
                join(w);
        else {
                if (w->submitted.first)
                        run(w);
                w->task.end(w->task.userdata);
        }
        w->started = false;
}

Worker *worker_free(Worker *w)
{
        if (!w)
                return NULL;
        owned_remove(&w->owned);
        reclaim(&w->owned);
        return NULL;
}

void worker_submit(Worker *w, DbOpList *ops, bool urgent)
{
        if (!w->submitted.first && ops->first) {
                w->since = now_usec(CLOCK_BOOTTIME);
                if (!w->thread)
                        w->lazy.due = usec_add(w->since, LAZY_USEC);
        }
        const bool wake = w->thread && ops->first && (!w->submitted.first || (urgent && !w->urgent));
        w->urgent |= urgent;
        op_list_move(&w->submitted, ops);
        if (wake)
                thread_wake(w->thread);
}

void worker_finish(Worker *w, DbOp *first)
{
        for (DbOp *op = first, *next; op; op = next) {
                next = op->next;
                op_list_append(&w->finished, op);
        }
        process_wake(w->process);
}

void worker_take_finished(Worker *w, DbOpList *ret)
{
        op_list_init(ret);
        op_list_move(ret, &w->finished);
}

int worker_fd(const Worker *w)
{
        return w->fd;
}

bool worker_is_alive(Worker *w, uint64_t usec)
{
        if (w->thread)
                return w->busy_since == 0 || world_now() < usec_add(w->busy_since, usec);
        return !held || !w->submitted.first || now_usec(CLOCK_BOOTTIME) < usec_add(w->since, usec);
}
