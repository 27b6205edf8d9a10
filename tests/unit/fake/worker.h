/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* store/worker.h without a thread: batches run when the test says so, in its own thread. */

#include "store/worker.h"

/* Runs one batch of each worker that has operations. False: there was none. The test then calls
 * db_dispatch(), or fires the watch of worker_fd(), which is a number that no real descriptor has. */
bool fake_worker_run(void);

void fake_worker_hang(bool hang); /* worker_is_alive() says no, and no batch is run */
