/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake/worker.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_FD 1000000

struct Worker {
        WorkerTask task;
        int fd;
        bool started;
        DbOpList submitted, finished;
        Worker *next;
};

static Worker *workers;
static bool hangs;
static int n_fds;

int worker_new(const WorkerTask *task, Worker **ret)
{
        Worker *w = calloc(1, sizeof *w);

        if (!w)
                return -ENOMEM;
        w->task = *task;
        w->fd = FIRST_FD + n_fds++;
        op_list_init(&w->submitted);
        op_list_init(&w->finished);
        w->next = workers;
        workers = w;
        *ret = w;
        return 0;
}

int worker_start(Worker *w)
{
        w->started = true;
        return 0;
}

static bool run_batch(Worker *w)
{
        DbOp *first = w->submitted.first;

        if (!w->started || !first)
                return false;
        op_list_init(&w->submitted);
        w->task.run(first, w->task.userdata);
        return true;
}

bool fake_worker_run(void)
{
        bool any = false;

        for (Worker *w = hangs ? NULL : workers; w; w = w->next)
                any |= run_batch(w);
        return any;
}

void fake_worker_hang(bool hang)
{
        hangs = hang;
}

void worker_stop(Worker *w)
{
        if (!w->started)
                return;
        while (run_batch(w))
                ;
        w->task.end(w->task.userdata);
        w->started = false;
}

Worker *worker_free(Worker *w)
{
        if (!w)
                return NULL;
        for (Worker **at = &workers; *at; at = &(*at)->next)
                if (*at == w) {
                        *at = w->next;
                        break;
                }
        free(w);
        return NULL;
}

void worker_submit(Worker *w, DbOpList *ops, bool urgent)
{
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
        return !hangs;
}
