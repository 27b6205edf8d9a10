/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* store/worker.h without a thread: the test runs the batches in its own thread. */

#include "store/worker.h"

/* Runs one batch of each worker that has operations. Returns false if there was none. The test then calls
 * db_dispatch(), or fires the watch of worker_fd(). That number is never a real descriptor. */
bool fake_worker_run(void);

void fake_worker_hang(bool hang); /* worker_is_alive() returns false, and no batch runs */
