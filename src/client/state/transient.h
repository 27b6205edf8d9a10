/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages that are accepted in memory only ("durability": "memory"). They use the same code as the others,
 * but each of their writes counts as done at the end of the loop's iteration. A crash or a stop of this
 * process loses them. The client writes a dead letter to disk, so it is not lost silently.
 *
 * Their payloads have at most MEMORY_BYTES_MAX bytes in total; intake/submit refuses more. */

#include "client/state/types.h"

void transient_enter(Message *m);
void transient_leave(Message *m); /* it is on disk now, or freed; does nothing for other messages */
void transient_submit(Client *c, DbOp *op); /* instead of db_submit() */
void transient_run(Client *c); /* calls every `done`, at the end of each iteration and of the process */
