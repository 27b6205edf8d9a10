/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/time-util.h"

/* Operations in one batch. The limit keeps a flood from delaying the sync of the first one for ever. */
#define BATCH_MAX 4096u

#define LAZY_NSEC 20000000

struct Worker {
        WorkerTask task;
        int event_fd; /* readable while `finished` has operations */
        pthread_t thread;
        bool started;

        pthread_mutex_t mutex; /* guards what follows */
        pthread_cond_t wake;
        DbOpList submitted;
        bool urgent; /* somebody waits for one of `submitted` */
        DbOpList finished;
        bool stop;

        atomic_uint_fast64_t busy_since; /* CLOCK_BOOTTIME of the running batch, or 0 */
};

int worker_new(const WorkerTask *task, Worker **ret)
{
        pthread_condattr_t monotonic;
        Worker *w = calloc(1, sizeof *w);

        if (!w)
                return -ENOMEM;
        w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (w->event_fd < 0) {
                int r = -errno;
                free(w);
                return r;
        }
        w->task = *task;
        op_list_init(&w->submitted);
        op_list_init(&w->finished);
        (void) pthread_mutex_init(&w->mutex, NULL);
        (void) pthread_condattr_init(&monotonic);
        (void) pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        (void) pthread_cond_init(&w->wake, &monotonic);
        (void) pthread_condattr_destroy(&monotonic);
        *ret = w;
        return 0;
}

/* With the mutex held: returns when there is an urgent operation, or one that has waited long enough. */
static void wait_for_work(Worker *w)
{
        struct timespec until;

        while (!w->submitted.first && !w->stop)
                (void) pthread_cond_wait(&w->wake, &w->mutex);
        (void) clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += LAZY_NSEC;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        while (!w->urgent && !w->stop)
                if (pthread_cond_timedwait(&w->wake, &w->mutex, &until) == ETIMEDOUT)
                        break;
}

/* At most BATCH_MAX operations; waits for the first. NULL: there is none, and the worker is to stop. */
static DbOp *take_batch(Worker *w)
{
        DbOp *first = NULL;
        DbOp **end;
        unsigned n = 0;

        (void) pthread_mutex_lock(&w->mutex);
        wait_for_work(w);
        w->urgent = false;

        end = &w->submitted.first;
        while (*end && n++ < BATCH_MAX)
                end = &(*end)->next;
        if (n > 0) {
                first = w->submitted.first;
                w->submitted.first = *end;
                if (!*end)
                        w->submitted.end = &w->submitted.first;
                else
                        w->urgent = true; /* perhaps one of the rest is; all of it has waited already */
                *end = NULL;
        }
        (void) pthread_mutex_unlock(&w->mutex);
        return first;
}

static void *run_batches(void *userdata)
{
        Worker *w = userdata;
        DbOp *first;

        while ((first = take_batch(w))) {
                atomic_store(&w->busy_since, now_usec(CLOCK_BOOTTIME));
                w->task.run(first, w->task.userdata);
                atomic_store(&w->busy_since, 0);
        }
        w->task.end(w->task.userdata);
        return NULL;
}

int worker_start(Worker *w)
{
        sigset_t all, before;

        /* Signals are for the loop's thread. */
        (void) sigfillset(&all);
        (void) pthread_sigmask(SIG_BLOCK, &all, &before);
        int r = pthread_create(&w->thread, NULL, run_batches, w);
        (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
        w->started = r == 0;
        if (w->started)
                (void) pthread_setname_np(w->thread, "writer"); /* as top and perf show it */
        return -r;
}

void worker_stop(Worker *w)
{
        if (!w->started)
                return;
        (void) pthread_mutex_lock(&w->mutex);
        w->stop = true;
        (void) pthread_cond_signal(&w->wake);
        (void) pthread_mutex_unlock(&w->mutex);
        (void) pthread_join(w->thread, NULL);
        w->started = false;
}

Worker *worker_free(Worker *w)
{
        if (!w)
                return NULL;
        assert(!w->started);
        (void) close(w->event_fd);
        (void) pthread_cond_destroy(&w->wake);
        (void) pthread_mutex_destroy(&w->mutex);
        free(w);
        return NULL;
}

void worker_submit(Worker *w, DbOpList *ops, bool urgent)
{
        (void) pthread_mutex_lock(&w->mutex);
        bool wake = !w->submitted.first || (urgent && !w->urgent);
        w->urgent |= urgent;
        op_list_move(&w->submitted, ops);
        if (wake)
                (void) pthread_cond_signal(&w->wake);
        (void) pthread_mutex_unlock(&w->mutex);
}

void worker_finish(Worker *w, DbOp *first)
{
        const uint64_t one = 1;
        DbOpList finished = {.first = first, .end = &finished.first};

        while (*finished.end)
                finished.end = &(*finished.end)->next;
        (void) pthread_mutex_lock(&w->mutex);
        op_list_move(&w->finished, &finished);
        (void) pthread_mutex_unlock(&w->mutex);
        (void) !write(w->event_fd, &one, sizeof one);
}

void worker_take_finished(Worker *w, DbOpList *ret)
{
        uint64_t count;

        (void) !read(w->event_fd, &count, sizeof count);
        op_list_init(ret);
        (void) pthread_mutex_lock(&w->mutex);
        op_list_move(ret, &w->finished);
        (void) pthread_mutex_unlock(&w->mutex);
}

int worker_fd(const Worker *w)
{
        return w->event_fd;
}

bool worker_is_alive(Worker *w, uint64_t usec)
{
        uint64_t since = atomic_load(&w->busy_since);

        return since == 0 || now_usec(CLOCK_BOOTTIME) < usec_add(since, usec);
}
