/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How long clients wait before they send a message again. */
#include "model/policy.h"
#include "sim/judge-duties.h"

/* The end of a connection ends the wait for what is unanswered on it. */

/* `c` is greeted. What is unanswered is still listed at the connection before it. */
void waits_opened(JConnection *c)
{
        JConnection **last = c->from->last_connection + process_index(c->to->process) % J_PROCESSES_MAX;

        if (*last && (*last)->receiver == c->receiver && (*last)->from_start == c->from_start)
                c->before = *last;
        *last = c;
}

/* Messages of a key all have the same priority, whatever was asked for. */
static unsigned priority_of(const JMessage *m)
{
        const PlannedMessage *p = planned_message(m);

        return !p ? 0 : p->mode == SELECTOR_KEY ? PRIORITY_DEFAULT : p->priority;
}

/* Bytes. A larger payload may have to be read from the disk, and loses its place meanwhile. */
#define IN_MEMORY 4096u

/* `d` was bound before what is sent now, `by`. A client that was started has the order of acceptance. */
static bool is_older(const Judge *j, const JDelivery *d, const JMessage *by, const JConnection *c)
{
        const MessageFrame *f = &j->o->frame->message;
        const uint32_t start = c->from->starts;

        return d->stream && sd_id128_equal(f->stream, d->stream->id) && f->sequence > d->sequence &&
               !(d->message->loaded_start == start && by->loaded_start == start);
}

/* Must be sent again, before what is not more urgent and was bound later. */
static bool is_due(const JDelivery *d, const JConnection *c)
{
        const JMessage *m = d->message;
        const PlannedMessage *p = planned_message(m);

        return d->sent_on == c->before && d->told == 0 && !d->given_up && m->end == 0 && !m->cancel_asked &&
               p && p->deadline_usec == 0 && p->size <= IN_MEMORY;
}

static void check_before(Judge *j, const JMessage *m, JConnection *c)
{
        const uint64_t soon = USEC_PER_SEC + 20 * (j->plan->sync_max_usec + j->plan->net_max_usec);
        const JDelivery *d = c->before ? c->before->flight : NULL;

        if (!d) {
                c->before = NULL;
                return;
        }
        if (d->message == m || !is_older(j, d, m, c) || !is_due(d, c) ||
                        priority_of(d->message) < priority_of(m) || j->stalled_until >= c->opened_at ||
                        c->from->disturbed_until >= c->opened_at)
                return;
        if (j->o->since > c->opened_at + soon)
                breach(j, RULE_WAIT_ENDS_WITH_CONNECTION, d->message, c->from,
                                "%s sends %s to %s, but it has not sent %s again, which is unanswered since "
                                "the "
                                "connection before ended; the new one is open since %s",
                                text_process(c->from), text_message(m), text_process(c->to),
                                text_message(d->message), text_time(j, c->opened_at));
}

/* Pauses grow. A pause after a failure is drawn from [0, limit], and the limit doubles with each failure in
 * a row. So a dozen pauses at the last limit are together at least a tenth of their limits: anything else
 * has a chance of one in fifty million. */

#define PAUSES 12u

static unsigned doublings(const Plan *p)
{
        unsigned n = 1;

        for (uint64_t limit = MAX(p->backoff_usec, 1u); limit < p->backoff_max_usec; limit *= 2)
                n++;
        return n;
}

static void forget_pauses(JDelivery *d)
{
        d->n_failed_in_row = d->n_pauses = 0;
        d->pauses = d->failed_at = 0;
}

void waits_failed(const Judge *j, JDelivery *d)
{
        d->n_failed_in_row++;
        d->failed_at = j->o->at;
}

static void check_pauses(Judge *j, const JMessage *m, JDelivery *d, const JConnection *c)
{
        const uint64_t limit = j->plan->backoff_max_usec;

        if (d->written_start != c->from->starts || c->from->reloaded || m->revived)
                forget_pauses(d);
        if (d->failed_at == 0 || d->n_failed_in_row <= doublings(j->plan))
                return;
        d->pauses += j->o->since - MIN(d->failed_at, j->o->since);
        d->failed_at = 0;
        if (++d->n_pauses < PAUSES)
                return;
        if (d->pauses < PAUSES * limit / 10)
                breach(j, RULE_PAUSES_GROW, m, c->from,
                                "%s has sent %s to %s again %u times within %llu ms after failures, but "
                                "each "
                                "pause may last up to %llu ms",
                                text_process(c->from), text_message(m), text_process(c->to), PAUSES,
                                (unsigned long long) d->pauses / 1000, (unsigned long long) limit / 1000);
        d->n_pauses = 0;
        d->pauses = 0;
}

void waits_sent(Judge *j, const JMessage *m, JDelivery *d, JConnection *c)
{
        check_before(j, m, c);
        check_pauses(j, m, d, c);
}
