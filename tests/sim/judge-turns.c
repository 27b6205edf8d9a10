/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What becomes of messages that a receiver has refused, or that wait there. */
#include "sim/judge-duties.h"

#include <utlist.h>

static uint64_t slack(const Judge *j)
{
        return USEC_PER_SEC + 20 * (j->plan->sync_max_usec + j->plan->net_max_usec);
}

/* A free place is offered to the client that was refused first: by CREDIT with the number that it has. Not
 * every answer busy means that there was no place, so a client may be passed over some times. */

#define PASSED_MAX 16u

void turns_refused(const Judge *j, JConnection *c)
{
        if (c->waits_since == 0)
                c->waits_since = j->o->index;
}

void turns_taken(JConnection *c)
{
        c->waits_since = c->n_passed = 0;
}

static bool is_passed_over(const JConnection *x, const JConnection *by)
{
        return x && x != by && x->to == by->to && x->welcome_written && !x->closed && !x->to_closed &&
               x->to_start == by->to_start && x->waits_since > 0 && x->waits_since < by->waits_since;
}

void turns_credit(Judge *j, JConnection *c, uint32_t credit)
{
        if (c->waits_since == 0 || credit != c->granted || c->to_start != c->to->starts)
                return;
        for (unsigned i = 0; i < J_PROCESSES_MAX; i++) {
                JConnection *x = j->opens[i][process_index(c->to->process)].last;

                if (is_passed_over(x, c) && ++x->n_passed > PASSED_MAX)
                        breach(j, RULE_TURNS_ARE_KEPT, NULL, c->to,
                                        "%s offers a place to %s, as it has done %u times since it refused "
                                        "%s, which waits longer",
                                        text_process(c->to), text_process(c->from), x->n_passed,
                                        text_process(x->from));
        }
        turns_taken(c);
}

/* The client hears an offer, and takes the place at once. After a probe that was refused it may wait as long
 * as OFFERED_MAX. Judged when it sends what was refused last, to the only receiver that may get it. */

#define OFFERED_MAX (500 * USEC_PER_MSEC)

void turns_told_busy(const Judge *j, JMessage *m, JConnection *c)
{
        const PlannedMessage *p = planned_message(m);

        if (c->told_busy_at == 0)
                c->told_busy_at = j->o->at;
        c->told_offer_at = 0;
        c->told_busy = p && p->mode == SELECTOR_TO ? m : NULL;
}

void turns_told_other(JConnection *c)
{
        c->told_busy_at = c->told_offer_at = c->pauses = 0;
        c->n_pauses = 0;
}

/* Nothing is unanswered there. After a reload the ack timeout may be twice as long, so that an attempt is
 * not over when the judge drops it. */
static bool is_idle(const Judge *j, const JConnection *c)
{
        return c->n_flight == 0 &&
               (!c->from->reloaded || j->o->at > c->used_at + 2 * j->plan->ack_timeout_usec);
}

void turns_told_credit(const Judge *j, JConnection *c)
{
        const uint64_t busy_at = c->told_busy_at, offer_at = c->told_offer_at;

        turns_told_other(c);
        c->told_busy_at = busy_at;
        if (busy_at > 0 && is_idle(j, c))
                c->told_offer_at = offer_at > 0 ? offer_at : j->o->at;
}

static void check_offer(Judge *j, const JMessage *m, const JConnection *c)
{
        const uint64_t offer_at = c->told_offer_at;

        if (offer_at == 0 || c->told_busy != m || m->revived || c->from->disturbed_until >= offer_at ||
                        j->stalled_until >= offer_at || c->to->drain_began > 0 || c->to->replaced > 0)
                return;
        if (j->o->since > offer_at + OFFERED_MAX + slack(j))
                breach(j, RULE_TURNS_ARE_KEPT, m, c->from,
                                "%s sends %s to %s again, which was refused at %s; but it has read at %s "
                                "that there is room",
                                text_process(c->from), text_message(m), text_process(c->to),
                                text_time(j, c->told_busy_at), text_time(j, offer_at));
}

/* The limit of a pause doubles with each refusal in a row, from 100 ms on. So the fifth and the five behind
 * it are together longer than this: anything else has a chance of one in fifty million. */

#define PAUSES_FREE 4u
#define PAUSES      6u
#define PAUSES_MIN  (700 * USEC_PER_MSEC)

static void check_pause(Judge *j, const JMessage *m, JConnection *c)
{
        if (++c->n_pauses <= PAUSES_FREE)
                return;
        c->pauses += j->o->since - c->told_busy_at;
        if (c->n_pauses == PAUSES_FREE + PAUSES && c->pauses < PAUSES_MIN &&
                        c->from->disturbed_until < c->opened_at)
                breach(j, RULE_PAUSES_GROW, m, c->from,
                                "%s has refused messages of %s %u times in a row, but the last %u pauses "
                                "before it sent the next were %llu ms together",
                                text_process(c->to), text_process(c->from), c->n_pauses, PAUSES,
                                (unsigned long long) c->pauses / 1000);
}

/* A message to any that was refused, and never begun, goes to another receiver that has room. */

static bool has_room(const Judge *j, const JConnection *x, uint64_t since)
{
        return x && x->welcomed && !x->closed && !x->to_closed && !x->copied && x->credit > 0 &&
               is_idle(j, x) && x->told_busy_at == 0 && x->used_at < since && x->credit_at < since &&
               x->to->drain_began == 0 && x->to->disturbed_until < since && x->to->terminated_at == 0 &&
               is_listed(j, x->receiver);
}

static void check_elsewhere(Judge *j, const JMessage *m, const JDelivery *d, const JConnection *c)
{
        const PlannedMessage *p = planned_message(m);
        const uint64_t since = d->told_busy_at;

        if (since == 0 || !p || p->mode != SELECTOR_ANY || j->o->since <= since + slack(j) ||
                        (j->o->frame->message.flags & MESSAGE_POSSIBLE_DUPLICATE) ||
                        c->from->disturbed_until >= since || j->stalled_until >= since)
                return;
        for (unsigned i = 0; i < j->plan->n_receivers; i++) {
                const unsigned to = plan_process_of_receiver(j->plan, i);
                const JConnection *x = j->opens[process_index(c->from->process)][to].last;

                if (x != c && (p->group == 0 || p->group == j->plan->group_of_receiver[i]) &&
                                has_room(j, x, since))
                        breach(j, RULE_TURNS_ARE_KEPT, m, c->from,
                                        "%s sends %s to %s again, which refused it at %s, although %s has "
                                        "room since then",
                                        text_process(c->from), text_message(m), text_process(c->to),
                                        text_time(j, since), text_process(x->to));
        }
}

void turns_sent(Judge *j, const JMessage *m, const JDelivery *d, JConnection *c)
{
        check_elsewhere(j, m, d, c);
        if (c->told_busy_at == 0 || j->o->since <= c->told_busy_at)
                return;
        check_offer(j, m, c);
        check_pause(j, m, c);
        c->told_busy_at = c->told_offer_at = 0;
}

/* While all handlers are busy, a message waits for 250 ms; then the receiver gives it back. One during which
 * the receiver died waits until it can run alone. So may one that the receiver was about to run then. */

#define GIVEN_BACK_USEC (500 * USEC_PER_MSEC)

static bool has_run(const JDelivery *d)
{
        for (const JRun *r = d->run; r; r = r->previous)
                if (r->stream == d->stream && r->sequence == d->sequence)
                        return true;
        return false;
}

void turns_run(const Judge *j, JProcess *p)
{
        if (p->n_running == j->plan->concurrency[p->number])
                p->busy_since = j->o->at;
}

void turns_run_end(Judge *j, JProcess *p)
{
        const uint64_t since = MAX(MAX(p->busy_since, p->disturbed_until), j->stalled_until);
        const bool busy = p->busy_since > 0 && p->up && p->marked == 0;
        const JDelivery *d;

        p->busy_since = 0;
        if (!busy || j->o->at <= usec_add(since, GIVEN_BACK_USEC + slack(j)))
                return;
        DL_FOREACH2(p->asked, d, asked_next)
        {
                if (j->o->at <= d->asked_since + GIVEN_BACK_USEC + slack(j) || has_run(d) || d->died_with ||
                                d->cancel_read || d->answered != 0 || d->asked_on->closed ||
                                d->asked_on->to_closed)
                        continue;
                breach(j, RULE_QUEUE_IS_GIVEN_BACK, d->message, p,
                                "%s has kept %s waiting since %s, although all of its handlers have been "
                                "busy since %s",
                                text_process(p), text_message(d->message), text_time(j, d->asked_since),
                                text_time(j, since));
        }
}
