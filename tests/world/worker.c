/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/worker.h"

#include <stdlib.h>

#include "world/inside.h"

#define LAZY_USEC (20 * USEC_PER_MSEC)

struct Worker {
        WorkerTask task;
        int fd;
        Source source;
        Alarm lazy;
        DbOpList submitted, finished;
        bool urgent, started;
        uint64_t since; /* arrival of the first operation in `submitted` */
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

        return w->started && !held && w->submitted.first && w->urgent;
}

static void run(Worker *w)
{
        DbOp *first = w->submitted.first;

        op_list_init(&w->submitted);
        w->urgent = false;
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

int worker_new(const WorkerTask *task, Worker **ret)
{
        Worker *w = calloc(1, sizeof *w);

        assert(w);
        w->task = *task;
        op_list_init(&w->submitted);
        op_list_init(&w->finished);
        w->fd = fd_new(has_finished, w);
        source_add(&w->source, NULL, is_ready, on_ready);
        alarm_add(&w->lazy, NULL, on_lazy, w);
        *ret = w;
        return 0;
}

int worker_start(Worker *w)
{
        w->started = true;
        return 0;
}

void worker_stop(Worker *w)
{
        if (!w->started)
                return;
        if (w->submitted.first)
                run(w);
        w->task.end(w->task.userdata);
        w->started = false;
}

Worker *worker_free(Worker *w)
{
        if (!w)
                return NULL;
        source_remove(&w->source);
        alarm_remove(&w->lazy);
        fd_free(w->fd);
        free(w);
        return NULL;
}

void worker_submit(Worker *w, DbOpList *ops, bool urgent)
{
        if (!w->submitted.first && ops->first) {
                w->since = now_usec(CLOCK_BOOTTIME);
                w->lazy.due = usec_add(w->since, LAZY_USEC);
        }
        w->urgent |= urgent;
        op_list_move(&w->submitted, ops);
}

void worker_finish(Worker *w, DbOp *first)
{
        for (DbOp *op = first, *next; op; op = next) {
                next = op->next;
                op_list_append(&w->finished, op);
        }
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
        return !held || !w->submitted.first || now_usec(CLOCK_BOOTTIME) < usec_add(w->since, usec);
}
