/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/reply.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"

#define REPLIES_MAX 1024u

typedef struct Fetch {
        Replies *replies;
        DedupReplyOp reply;
        uint64_t conn;
        AnswerFrame answer;
} Fetch;

static void on_fetched(DbOp *op, int result)
{
        Fetch *f = CONTAINER_OF(op, Fetch, reply.op);
        Replies *r = f->replies;

        r->n--;
        if (result == -ENOENT) /* its sender has settled it meanwhile */
                f->answer.outcome = OUTCOME_SETTLED;
        else {
                f->answer.data = (Bytes){f->reply.reply, f->reply.reply_size};
                f->answer.flags = f->reply.cut ? ANSWER_CUT : 0;
        }
        if (result >= 0 || result == -ENOENT)
                conn_answer(r->conns, f->conn, &f->answer);
        else
                (void) log_error_errno(result, "Cannot read a recorded reply");
        free(f->reply.reply);
        free(f);
        loop_defer(r->loop, r->idle_check);
}

void reply_recorded(Replies *r, uint64_t conn, const MessageFrame *m, Outcome outcome)
{
        AnswerFrame answer = {
                        .stream = m->stream,
                        .sequence = m->sequence,
                        .message = m->message,
                        .attempt = m->attempt,
                        .outcome = outcome,
        };
        Fetch *f = r->n < REPLIES_MAX ? calloc(1, sizeof *f) : NULL;

        if (!f) {
                answer.outcome = OUTCOME_WORKING;
                conn_answer(r->conns, conn, &answer);
                return;
        }
        f->replies = r;
        f->conn = conn;
        f->answer = answer;
        dedup_reply_op_init(&f->reply);
        f->reply.op.done = on_fetched;
        f->reply.stream = m->stream;
        f->reply.sequence = m->sequence;
        r->n++;
        db_submit(r->db, &f->reply.op);
}
