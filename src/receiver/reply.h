/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Answers repetitions of messages whose outcome is recorded. The outcome is in memory; its reply is on disk
 * only. */

#include "receiver/conn.h"
#include "store/dedup.h"

typedef struct Replies {
        /* Set by the root. */
        Loop *loop;
        Db *db;
        Conns *conns;
        LoopWork *idle_check; /* deferred when a reply has been fetched */

        size_t n; /* being fetched */
} Replies;

/* Fetches the reply to `m` and answers. When too many replies are being fetched, it answers "working", and
 * the sender asks again. */
void reply_recorded(Replies *r, uint64_t conn, const MessageFrame *m, Outcome outcome);
