/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who runs first, what a death counts, and who waits for a receiver that stands still. */
#include "sim/judge-duties.h"

#include <string.h>
#include <utlist.h>

/* A message during which its receiver was killed runs alone, until one of its runs has ended. A loss of
 * power is nobody's fault. */

/* The newest one of these, from `r` on. */
static JRun *find_run(JRun *r, const JStream *s, uint64_t sequence)
{
        while (r && (r->stream != s || r->sequence != sequence))
                r = r->previous;
        return r;
}

static bool is_suspect(const JRun *r)
{
        const JRun *before = find_run(r->previous, r->stream, r->sequence);

        return before && !before->repeated && before->process == r->process &&
               before->killed_with_at > r->process->lost_power_at &&
               !receiver_is_excepted(r->delivery->receiver, before->began);
}

/* A handler that is killed before it begins (its time limit is over while its machine is suspended) ends,
 * too. What comes after it need not run alone. */
void fair_missed(Judge *j, const Observation *o)
{
        const JProcess *p = judge_process(j, o->process);
        JMessage *m = judge_message(j, o->id);
        JReceiver *receiver = judge_receiver(j, o->receiver);
        JDelivery *d = m ? judge_delivery(m, receiver) : NULL;
        JRun *r = d ? find_run(d->run, judge_stream(j, o->stream), o->sequence) : NULL;

        if (r && p->up && (uint32_t) o->state == p->starts)
                r->repeated = true;
}

static void check_alone(Judge *j, const JRun *r)
{
        JProcess *p = r->process;
        const JRun *alone = is_suspect(r) ? r : p->alone && !p->alone->ended ? p->alone : NULL;

        if (r->start != p->starts || !p->up || p->role != ROLE_RECEIVER || p->no_runs || !alone)
                return;
        p->alone = alone;
        if (p->n_running > 1)
                breach(j, RULE_SUSPECTS_RUN_ALONE, alone->delivery->message, p,
                                "%s runs %s beside others, but it has died during a run of it",
                                text_process(p), text_message(alone->delivery->message));
}

/* More urgent first. The urgent messages that were accepted and have not begun to run; more of them than
 * fit are not watched. */

#define URGENT_FROM   7u /* priority */
#define URGENT_MARGIN USEC_PER_SEC
#define OVERTAKEN_MAX 4u

void fair_accepted(Judge *j, JMessage *m)
{
        const PlannedMessage *p = planned_message(m);

        if (!p || p->priority < URGENT_FROM || p->delay_usec > 0 || m->n_runs > 0 || m->fanout ||
                        j->n_urgent == ELEMENTSOF(j->urgent))
                return;
        if (p->mode == SELECTOR_TO || p->mode == SELECTOR_ANY)
                j->urgent[j->n_urgent++] = m;
}

static bool waits_for(const Judge *j, const JMessage *m, const JReceiver *r)
{
        const PlannedMessage *p = planned_message(m);

        for (const JDelivery *d = m->deliveries; d; d = d->next)
                if (d->receiver != r) /* it has its place elsewhere */
                        return false;
        if (p->mode == SELECTOR_TO)
                return p->receiver == r->process->number;
        return p->group == 0 || p->group == j->plan->group_of_receiver[r->process->number % RECEIVERS_MAX];
}

/* `d` was handed to the connection with its receiver although `m` waits for that, too. What was handed over
 * before may run before `m`: while that connection is new, while the binding or the payload of `m` may be on
 * its way to or from the disk, while the receiver drains, as the client knows it, and of what any may get,
 * before the client knows that discovery lists the receiver. */
static bool is_behind(const Judge *j, const JMessage *m, const JDelivery *d)
{
        const uint64_t soon = URGENT_MARGIN + 20 * (j->plan->net_max_usec + j->plan->sync_max_usec);
        const JProcess *client = m->client, *receiver = d->receiver->process;
        const JConnection *c = client->last_connection[process_index(receiver->process) % J_PROCESSES_MAX];
        uint64_t from = MAX(m->accepted_at, client->disturbed_until);

        if (!c || c->receiver != d->receiver || c->from_start != client->starts ||
                        receiver->draining_since > 0)
                return false;
        if (planned_message(m)->mode == SELECTOR_ANY && !is_known(j, client, d->receiver, d->handed_at))
                return false;
        from = MAX(from, MAX(c->opened_at, receiver->drain_began > 0 ? receiver->news_until : 0));
        return d->handed_at >= usec_add(from, soon);
}

/* What its receiver starts together with `m` may begin before it. */
static void overtake(Judge *j, JMessage *m, const JRun *by)
{
        if (++m->n_less_urgent > OVERTAKEN_MAX + j->plan->concurrency[by->process->number])
                breach(j, RULE_URGENT_FIRST, m, by->process,
                                "%s has begun %u messages of lower priority since %s, which waits for it "
                                "with priority %u, was accepted at %s; the last was %s",
                                text_process(by->process), m->n_less_urgent, text_message(m),
                                planned_message(m)->priority, text_time(j, m->accepted_at),
                                text_message(by->delivery->message));
}

static void check_urgent(Judge *j, const JRun *r)
{
        const PlannedMessage *p = planned_message(r->delivery->message);

        if (is_suspect(r)) /* its receiver takes no others meanwhile */
                return;
        for (unsigned i = 0; i < j->n_urgent;) {
                JMessage *m = j->urgent[i];

                if (m->n_runs > 0 || m->end != 0 || m->lost || message_is_excepted(m)) {
                        j->urgent[i] = j->urgent[--j->n_urgent];
                        continue;
                }
                if (p && p->priority < planned_message(m)->priority &&
                                m->client == r->delivery->message->client &&
                                waits_for(j, m, r->delivery->receiver) && is_behind(j, m, r->delivery))
                        overtake(j, m, r);
                i++;
        }
}

/* A run counts as an attempt that has failed if its receiver was killed and no other handler ran: then it is
 * to blame. Counted while its client lives, which may forget the newest attempts when it dies, and under one
 * binding: a receiver knows a message that has moved as another one. A receiver that gets an older state
 * does not know what ran when it died. */

void fair_died(Judge *j, JProcess *p, bool orderly)
{
        unsigned n_asked = 0;
        JDelivery *d;

        if (orderly || p->role != ROLE_RECEIVER)
                return;
        DL_FOREACH2(p->asked, d, asked_next)
        {
                d->died_with = true;
                if (d->run && !d->run->ended && d->run->start == p->starts && j->o->kind == OBS_KILL)
                        d->run->killed_with_at = j->o->at;
                n_asked++;
        }
        /* A handler may have been started that has not come to life. A receiver that cannot note its runs
         * has said so. */
        p->alone_start = !p->no_runs && p->n_running == 1 &&
                                                         (n_asked == 1 || j->plan->concurrency[p->number] ==
                                                                                          1)
                                         ? p->starts
                                         : 0;
        p->killed_at = j->o->at;
}

void fair_charged(JRun *r)
{
        r->charged = true;
        r->process->charged = r;
}

/* The next start records the death, soon. Until then a loss of power makes it nobody's fault. */
#define RECORDED_USEC (5 * USEC_PER_SEC)

void fair_lost_power(Judge *j, const Observation *o)
{
        const unsigned n = plan_n_processes(j->plan), lost = process_index(o->process);

        if (lost < n)
                times_lost_power(j, plan_machine_of(j->plan, lost));
        for (unsigned i = 0; i < n && lost < n; i++) {
                JProcess *p = j->processes + i;

                if (plan_machine_of(j->plan, i) != plan_machine_of(j->plan, lost))
                        continue;
                p->lost_power_at = o->at;
                p->restored |= p->damaged > 0;
                if (p->charged && (p->serving <= p->charged->start || o->at - p->started_at < RECORDED_USEC))
                        p->charged->charged = false;
        }
}

static void check_deaths(Judge *j, const JRun *r)
{
        const JMessage *m = r->delivery->message;
        const PlannedMessage *p = planned_message(m);
        unsigned n = 0;

        if (!p || p->max_attempts == 0 || m->fanout || m->revived || message_is_excepted(m))
                return;
        for (const JRun *before = r->previous; before; before = before->previous)
                n += before->charged && before->stream == r->stream && before->sequence == r->sequence &&
                     before->began > m->client->started &&
                     !receiver_is_excepted(r->delivery->receiver, before->began);
        if (n >= p->max_attempts)
                breach(j, RULE_DEATHS_ARE_CHARGED, m, r->process,
                                "%s runs %s once more, although %s died during %u runs of it, and it may "
                                "have %u attempts",
                                text_process(r->process), text_message(m), text_process(r->process), n,
                                p->max_attempts);
}

/* A message to any does not wait for a receiver that is frozen while another one could take it. Judged only
 * where nothing else is broken, so that it is certain that another one could. */

static bool only_freezes(const Plan *plan)
{
        for (size_t i = 0; i < plan->n_steps; i++)
                if (plan->steps[i].kind >= STEP_KILL && plan->steps[i].kind != STEP_FREEZE)
                        return false;
        return true;
}

static bool may_be_elsewhere(const Judge *j, unsigned group, unsigned except)
{
        for (unsigned i = 0; i < j->plan->n_receivers; i++) {
                const JProcess *p = j->processes + plan_process_of_receiver(j->plan, i);

                if (i != except && p->frozen_until == 0 && p->starts == 1 &&
                                (group == 0 || group == j->plan->group_of_receiver[i]))
                        return true;
        }
        return false;
}

static bool moved_on(const JDelivery *d, uint64_t by)
{
        for (const JDelivery *e = d->message->deliveries; e; e = e->next)
                if (e != d && e->first_written_at > d->first_written_at && e->first_written_at <= by)
                        return true;
        return false;
}

static void check_frozen(Judge *j, const JRun *r)
{
        const JMessage *m = r->delivery->message;
        const PlannedMessage *p = planned_message(m);
        const uint64_t patience = j->plan->lease_usec + 4 * j->plan->ack_timeout_usec + 5 * USEC_PER_SEC;

        if (!p || p->mode != SELECTOR_ANY || !only_freezes(j->plan) || p->delay_usec > 0)
                return;
        for (const JDelivery *d = m->deliveries; d; d = d->next) {
                const JProcess *at = d->receiver->process; /* NULL: it has not said its id yet */
                if (!at)
                        continue;
                const uint64_t from = MAX(d->first_written_at, at->frozen_at);
                const uint64_t until = MIN(at->frozen_until, j->o->at);

                if (d->first_written == 0 || at->frozen_at == 0 || d->first_written_at > at->frozen_until)
                        continue;
                if (d->n_sends_before > 0) /* it had ended there, and somebody retried it */
                        continue;
                if (until > from + patience && !moved_on(d, from + patience) &&
                                (!r->previous || r->previous->began_at > until) &&
                                may_be_elsewhere(j, p->group, at->number))
                        breach(j, RULE_FROZEN_IS_FOUND, m, at,
                                        "%s has waited from %s to %s for %s, which was frozen, although "
                                        "another receiver could take it",
                                        text_message(m), text_time(j, from), text_time(j, until),
                                        text_process(at));
        }
}

void fair_froze(Judge *j, JProcess *p, uint64_t usec)
{
        p->frozen_at = j->o->at;
        p->frozen_until = MAX(p->frozen_until, usec_add(j->o->at, usec));
}

void fair_run(Judge *j, const JRun *r)
{
        check_urgent(j, r);
        check_deaths(j, r);
        check_alone(j, r);
        check_frozen(j, r);
}
