/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages that are accepted in memory only ("durability": "memory"). They go the same way as the others,
 * but what would be written is taken as written at the end of the loop's iteration; a crash or a stop of
 * this process loses them. One that becomes a dead letter is put on disk, so that it is not dropped
 * silently.
 *
 * Bounded: MEMORY_BYTES_MAX of payloads; more is refused as a full outbox is. */

#include "client/intake/submit.h"

/* What a message in memory cannot be: to several, named by its sender, or with a time. 0, or a sentence. */
int transient_check(const Client *c, const Submission *s, Error *error);

void transient_leave(Message *m);            /* it is on disk now, or gone */
void transient_submit(Message *m, DbOp *op); /* instead of db_submit() */
void transient_run(Client *c);               /* the end of an iteration, and of the process */
