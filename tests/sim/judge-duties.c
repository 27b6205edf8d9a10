/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a receiver owes: limits, greetings, an orderly stop, draining. */
#include "sim/judge-duties.h"

#include <string.h>
#include <utlist.h>

/* Limits. A reload never allows more than the plan. */

void duties_run(Judge *j, const JRun *r)
{
        JProcess *p = r->process;

        if (r->start != p->starts || !p->up || p->role != ROLE_RECEIVER)
                return;
        p->n_running++;
        turns_run(j, p);
        if (p->n_running > j->plan->concurrency[p->number])
                breach(j, RULE_CONCURRENCY_IS_KEPT, r->delivery->message, p,
                                "%s runs %u handlers at once, the last for %s; its concurrency is %u",
                                text_process(p), p->n_running, text_message(r->delivery->message),
                                j->plan->concurrency[p->number]);
}

/* A stop kills nothing before its time is over, unless somebody cancels it, or its own time is over. */
void duties_run_end(Judge *j, JRun *r)
{
        if (r->start == r->process->starts && r->process->role == ROLE_RECEIVER)
                turns_run_end(j, r->process);
        if (r->process->terminated_at > 0 && r->start == r->process->starts && r->end == RUN_KILLED &&
                        !r->delivery->cancel_read &&
                        j->o->at - r->began_at < j->plan->handler_timeout_usec / 2)
                r->process->killed = r;
        if (r->start == r->process->starts && r->process->n_running > 0)
                r->process->n_running--;
}

/* From the credit of a connection that ends, others get more at once. */
static void take_back(JConnection *c)
{
        if (c->to_start == c->to->starts)
                c->to->granted -= c->granted;
        c->granted = 0;
}

static void grant(JConnection *c, uint32_t credit)
{
        take_back(c);
        c->to_start = c->to->starts;
        c->granted = credit;
        c->to->granted += credit;
}

/* A new connection gets only what no other one has. When shares change, the frames to all connections leave
 * together, in any order; a connection that stalls gets its frame later. */
static void check_credit(Judge *j, const JConnection *c)
{
        const JProcess *p = c->to;
        const unsigned most = j->plan->concurrency[p->number] + j->plan->queue[p->number];

        if (c->granted > 0 && p->granted > most && j->stalled_until < j->o->at)
                breach(j, RULE_CREDIT_IS_COVERED, NULL, p,
                                "%s has granted %u in total, %u of it to %s, which is new; it has room for "
                                "%u",
                                text_process(p), p->granted, c->granted, text_process(c->from), most);
}

static void greet(Judge *j, JConnection *c, const WelcomeFrame *w)
{
        if (!sd_id128_equal(w->receiver, c->expected))
                breach(j, RULE_GREETING_IS_ASKED, NULL, c->to,
                                "%s greets %s as receiver %s, but that looks for receiver %s",
                                text_process(c->to), text_process(c->from), text_id(w->receiver),
                                text_id(c->expected));
        grant(c, w->credit);
        check_credit(j, c);
}

/* A copy of a receiver finds out when it registers that its id is alive elsewhere; then it greets nobody
 * until it has an id of its own. */
static void check_copy(Judge *j, const JConnection *c, const WelcomeFrame *w)
{
        const JProcess *copy = c->to, *original = copy->original, *discovery = j->processes;
        const uint64_t begin = copy->started_at;
        const uint64_t registered = 5 * USEC_PER_SEC + 20 * (j->plan->net_max_usec + j->plan->sync_max_usec);

        if (original->up && original->identity && sd_id128_equal(original->identity->id, w->receiver) &&
                        original->started_at < begin && original->listed_at > 0 &&
                        original->listed_at < begin && discovery->up &&
                        discovery->started_at < original->listed_at && j->stalled_until < begin &&
                        j->o->at > begin + registered)
                breach(j, RULE_ID_IS_UNIQUE, NULL, copy,
                                "%s, a copy of %s that was started at %s, greets %s under the id of its "
                                "original, which is alive",
                                text_process(copy), text_process(original), text_time(j, begin),
                                text_process(c->from));
}

/* A frame that the receiver of this connection has written. */
void duties_written(Judge *j, JConnection *c, const Frame *f)
{
        if (c->to->original && f->type == FRAME_WELCOME)
                check_copy(j, c, &f->welcome);
        if (c->to->role != ROLE_RECEIVER)
                return;
        if (f->type == FRAME_WELCOME)
                greet(j, c, &f->welcome);
        else if (f->type == FRAME_CREDIT) {
                turns_credit(j, c, f->credit);
                grant(c, f->credit);
        } else if (f->type == FRAME_ERROR)
                take_back(c);
}

/* The end of the receiver. `error`: it did not close it itself. */
void duties_closed(JConnection *c, int error)
{
        if (c->to)
                take_back(c);
        c->to_closed = true;
        c->to_broken |= error < 0;
}

/* An orderly stop: what runs is finished, and every message that was read is answered. */

void duties_read(const Judge *j, JDelivery *d, JConnection *c)
{
        if (d->asked_on != c)
                d->asked_since = j->o->at;
        duties_answered(d);
        if (d->first_read == 0)
                d->first_read = j->o->index;
        d->asked_on = c;
        d->asked = j->o->index;
        DL_APPEND2(c->to->asked, d, asked_prev, asked_next);
}

void duties_answered(JDelivery *d)
{
        if (!d->asked_on)
                return;
        DL_DELETE2(d->asked_on->to->asked, d, asked_prev, asked_next);
        d->asked_on = NULL;
}

/* What is recorded on a disk that fails cannot be answered. */
static void check_stop(Judge *j, const JProcess *p)
{
        const JDelivery *d;

        if (p->n_running > 0)
                breach(j, RULE_STOP_IS_ORDERLY, NULL, p,
                                "%s was told to stop at %s and has ended, but %u of its handlers have not",
                                text_process(p), text_time(j, p->terminated_at), p->n_running);
        if (p->killed)
                breach(j, RULE_STOP_IS_ORDERLY, p->killed->delivery->message, p,
                                "%s was told to stop at %s and has ended in time, but it has killed the "
                                "handler "
                                "of %s",
                                text_process(p), text_time(j, p->terminated_at),
                                text_message(p->killed->delivery->message));
        DL_FOREACH2(p->asked, d, asked_next)
        {
                const JConnection *c = d->asked_on;

                if (c->to_start == p->starts && !c->closed && !c->to_broken && d->asked > p->unreadable)
                        breach(j, RULE_STOP_IS_ORDERLY, d->message, p,
                                        "%s was told to stop at %s and has ended, but it has not answered "
                                        "%s, "
                                        "which it has read from %s",
                                        text_process(p), text_time(j, p->terminated_at),
                                        text_message(d->message), text_process(c->from));
        }
}

/* Discovery writes a change within a moment; a crash before that loses it. */
static void forget_drains(Judge *j)
{
        for (unsigned i = 0; i < j->plan->n_receivers; i++) {
                JProcess *p = j->processes + plan_process_of_receiver(j->plan, i);

                if (p->draining_since == 0 || j->o->at < p->draining_at + USEC_PER_SEC)
                        p->to_drain_until = 0;
        }
}

/* Only within the time that a stop may take, and while clients can read. A reload may halve that time. */
void duties_ended(Judge *j, JProcess *p, bool orderly)
{
        JDelivery *d, *next;

        if (orderly && p->role == ROLE_RECEIVER && p->terminated_at > 0 && p->marked == 0 && !j->copied &&
                        j->stalled_until <= p->terminated_at &&
                        j->o->at - p->terminated_at < j->plan->stop_timeout_usec / 2)
                check_stop(j, p);
        fair_died(j, p, orderly);
        DL_FOREACH_SAFE2(p->asked, d, next, asked_next)
        duties_answered(d);
        if (p->role == ROLE_DISCOVERY)
                forget_drains(j);
        p->n_running = p->granted = 0;
        p->busy_since = 0;
        p->alone = NULL;
        p->terminated_at = p->draining_since = 0;
        p->killed = NULL;
}

/* Clients know of it from the list of discovery, mostly before the receiver does. */
void duties_check_new(Judge *j, const JMessage *m, const JDelivery *d, const JConnection *c)
{
        const JProcess *p = c->to;
        const uint64_t news = 2 * USEC_PER_SEC + 20 * (j->plan->net_max_usec + j->plan->sync_max_usec);

        if (p->draining_since > 0 && p->drain_began < p->draining_at && d->first_written == 0 &&
                        j->o->since > p->draining_at + news && j->o->since < p->to_drain_until &&
                        !(j->o->frame->message.flags & MESSAGE_POSSIBLE_DUPLICATE) &&
                        j->stalled_until < p->drain_began && c->from->disturbed_until < p->drain_began &&
                        j->processes[0].disturbed_until < p->drain_began)
                breach(j, RULE_DRAIN_IS_KEPT, m, c->from,
                                "%s sends %s, which is new, to %s, which has been draining since %s",
                                text_process(c->from), text_message(m), text_process(p),
                                text_time(j, p->draining_at));
}

/* Draining. A receiver says in its log when it learns of it. */

/* A receiver that loses its lease loses the drain with it. */
static bool drain_is_known(const Judge *j, const JProcess *p)
{
        const JProcess *discovery = j->processes;

        return j->stalled_until < p->drain_began && p->marked == 0 && p->replaced == 0 &&
               discovery->marked == 0;
}

void duties_log(Judge *j, const Observation *o, JProcess *p)
{
        if (p->role != ROLE_RECEIVER || !o->text)
                return;
        if (strstr(o->text, "Cannot open receiver.runs"))
                p->no_runs = true;
        else if (strstr(o->text, "Cannot read a recorded reply"))
                p->unreadable = o->index;
        else if (strstr(o->text, "Draining: new messages are refused")) {
                p->draining_since = o->index;
                p->draining_at = o->at;
        } else if (strstr(o->text, "Taking messages again")) {
                if (p->draining_since > 0 && p->to_drain_until > o->at && p->drain_began < p->draining_at &&
                                drain_is_known(j, p))
                        breach(j, RULE_DRAIN_IS_KEPT, NULL, p,
                                        "%s takes messages again, but nobody has resumed it; it is to drain "
                                        "until %s",
                                        text_process(p), text_time(j, p->to_drain_until));
                p->draining_since = 0;
        }
}

/* A request to resume may be under way yet, and overtake this one: it begins behind that. */
#define RESUME_USEC (10 * USEC_PER_SEC)

void duties_drain(const Judge *j, JProcess *p, uint64_t usec)
{
        const bool resuming = p->resume_at > 0 && p->resume_at <= j->o->at;

        p->drain_began = MAX(j->o->at, resuming ? p->resume_at + RESUME_USEC : 0);
        p->to_drain_until = MAX(p->to_drain_until, j->o->at + usec);
        p->resume_at = MAX(p->resume_at, p->to_drain_until);
        times_news(j, p);
}

void duties_check_drain(Judge *j, const JRun *r)
{
        const JProcess *p = r->process;
        const JDelivery *d = r->delivery;

        if (p->draining_since > 0 && d->first_read > p->draining_since)
                breach(j, RULE_DRAIN_IS_KEPT, d->message, p,
                                "%s is draining, but it runs %s, which it read later", text_process(p),
                                text_message(d->message));
}
