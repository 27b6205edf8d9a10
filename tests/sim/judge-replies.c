/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The reply in an ack: it names the run that has written it (handler.h). */
#include "sim/handler.h"
#include "sim/judge-inside.h"

/* The newest run of this delivery that was done and has written so many bytes. */
static const JRun *find_run(const JDelivery *d, size_t size)
{
        const JRun *r = d->run;

        while (r && !(r->ended && r->end == RUN_DONE && r->reply_size == size))
                r = r->previous;
        return r;
}

void reply_written(Judge *j, const JConnection *c, const JDelivery *d, const AnswerFrame *a)
{
        const Bytes reply = a->data;
        const bool cut = a->flags & ANSWER_CUT;
        uint64_t message, number;

        if (c->to->cut_replies)
                return;
        if (!reply_read(reply.data, reply.size, &message, &number)) {
                breach(j, RULE_REPLY_IS_INTACT, d->message, c->to,
                                "%s acks %s with a reply of %zu bytes that no handler has written",
                                text_process(c->to), text_message(d->message), reply.size);
                return;
        }
        if (reply.size == 0) {
                if (cut || !find_run(d, 0))
                        breach(j, RULE_REPLY_IS_INTACT, d->message, c->to,
                                        "%s acks %s without the reply of its handler", text_process(c->to),
                                        text_message(d->message));
                return;
        }
        const JRun *r = judge_run(j, number);
        if (!r || r->delivery != d || !r->ended || r->end != RUN_DONE)
                breach(j, RULE_REPLY_IS_INTACT, d->message, c->to,
                                "%s acks %s with the reply of run %llu, which is not a run of it that was "
                                "done there",
                                text_process(c->to), text_message(d->message), (unsigned long long) number);
        else if (cut != (r->reply_size > REPLY_KEPT))
                breach(j, RULE_REPLY_IS_INTACT, d->message, c->to,
                                "%s acks %s and says that the reply is %s, but run %llu has written %zu "
                                "bytes",
                                text_process(c->to), text_message(d->message), cut ? "cut" : "whole",
                                (unsigned long long) number, r->reply_size);
        else if (reply.size != MIN(r->reply_size, (size_t) REPLY_KEPT))
                breach(j, RULE_REPLY_IS_INTACT, d->message, c->to,
                                "%s acks %s with %zu bytes of the reply of run %llu, which has written %zu",
                                text_process(c->to), text_message(d->message), reply.size,
                                (unsigned long long) number, r->reply_size);
}
