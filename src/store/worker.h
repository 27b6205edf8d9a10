/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Runs batches of operations beside the loop. worker.c does it in a thread of its own; a test or a simulator
 * links another implementation, which runs a batch in the caller's thread when it chooses.
 *
 * Order: batches hold the operations in the order of worker_submit(), and are run one after the other. */

#include "store/db-op.h"

typedef struct Worker Worker;

typedef struct WorkerTask {
        /* Runs the operations of the list and passes them all to worker_finish() once. What follows that
         * call delays only the next batch. */
        void (*run)(DbOp *first, void *userdata);
        void (*end)(void *userdata); /* after the last batch, when the worker is stopped */
        void *userdata;
} WorkerTask;

int worker_new(const WorkerTask *task, Worker **ret); /* 0 or negative errno */
int worker_start(Worker *w);                          /* from here on the task runs; 0 or negative errno */
void worker_stop(Worker *w);    /* returns when all batches, and `end`, have been run */
Worker *worker_free(Worker *w); /* stopped, or never started */

/* Takes the operations over and empties the list. Never blocks. `urgent`: somebody waits for one of them;
 * the others may be run 20 ms later, together with what comes meanwhile. */
void worker_submit(Worker *w, DbOpList *ops, bool urgent);

void worker_finish(Worker *w, DbOp *first); /* called by the task */

/* Moves what was finished into `ret`. The descriptor is readable while there is something; it may be -1
 * where the worker has no thread. */
void worker_take_finished(Worker *w, DbOpList *ret);
int worker_fd(const Worker *w);

/* False while one batch has been running for longer than `usec`. */
bool worker_is_alive(Worker *w, uint64_t usec);
