/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What callers are told about messages, above all their ends. */
#include "sim/judge-inside.h"

#include <string.h>

/* A state that was restored may hold a message as open that ended long ago; its receiver then answers
 * `settled`. So excepted messages are not asked for reasons. */

static bool has_done_run(const JMessage *m)
{
        for (const JDelivery *d = m->deliveries; d; d = d->next)
                if (d->n_done > 0)
                        return true;
        return false;
}

static bool was_answered(const JMessage *m, Outcome outcome)
{
        for (const JDelivery *d = m->deliveries; d; d = d->next)
                if (d->ever_answered & (1u << outcome))
                        return true;
        return false;
}

/* "acked" without a run: nobody has processed it. "acked" without an ANSWER from its receiver: nobody has
 * recorded it (docs/PROTOCOL.md: the outcome is synced before ANSWER leaves). A message in memory only is
 * answered before the sync, so for it the answer shows less. */
static void check_acked(Judge *j, const JMessage *m)
{
        if (m->fanout) {
                fanout_acked(j, m);
                return;
        }
        if (!has_done_run(m))
                breach(j, RULE_ACKED_MEANS_RUN, m, m->client,
                                "%s says that %s is acked, but no handler has finished it (%u runs)",
                                text_process(m->client), text_message(m), m->n_runs);
        else if (!was_answered(m, OUTCOME_ACKED))
                breach(j, RULE_ACKED_MEANS_RECORDED, m, m->client,
                                "%s says that %s is acked, but no receiver has answered that",
                                text_process(m->client), text_message(m));
}

/* A payload that is larger than what the receiver takes is rejected by the client. */
#define SMALL (64u << 10)

static void check_rejected(Judge *j, const JMessage *m)
{
        const PlannedMessage *p = planned_message(m);
        bool rejected = false;

        /* A receiver that has lost records cannot say whether what is to be cancelled was processed. */
        for (const JDelivery *d = m->deliveries; d; d = d->next)
                rejected = rejected || d->n_rejected > 0 ||
                           (d->receiver && d->receiver->process && d->receiver->process->damaged > 0);
        if (!rejected && (!p || p->size < SMALL))
                breach(j, RULE_REJECTED_MEANS_RUN, m, m->client,
                                "%s says that %s is rejected, but no handler has rejected it",
                                text_process(m->client), text_message(m));
}

static void check_cancelled(Judge *j, const JMessage *m)
{
        if (!m->cancel_asked)
                breach(j, RULE_CANCELLED_WAS_ASKED, m, m->client,
                                "%s says that %s is cancelled, but nobody has asked for that",
                                text_process(m->client), text_message(m));
}

bool clock_was_set(const Judge *j, const JProcess *client)
{
        return j->clock_stepped[j->plan->machine_of_client[client->number] % MACHINES_MAX];
}

/* A deadline is an instant of CLOCK_REALTIME, so on a machine whose clock was set any time may be right. */
static bool deadline_has_passed(const Judge *j, const JMessage *m)
{
        const PlannedMessage *p = planned_message(m);
        const Step *s = m->planned->step;
        /* That of a bulk is fixed when the program opens it, after the step. */
        const uint64_t from = s->kind == STEP_BULK ? j->begin + s->at : m->planned->first_at;

        return p->deadline_usec > 0 &&
               (clock_was_set(j, m->client) || j->o->at >= usec_add(from, p->deadline_usec));
}

/* The last allowed attempt has been on the wire. */
static bool is_exhausted(const JMessage *m)
{
        const unsigned max = planned_message(m)->max_attempts;

        return max > 0 && MAX(m->attempt, m->over) >= max;
}

static bool was_in_conflict(const JMessage *m)
{
        for (const JDelivery *d = m->deliveries; d; d = d->next)
                if (d->told == OUTCOME_CONFLICT)
                        return true;
        return false;
}

/* Reasons to die: the deadline; the last attempt; a conflict, which has a rule of its own; for a message to
 * several, members that did not ack. After a restart the client counts members of whose end it may not have
 * told anybody. */
static void check_dead(Judge *j, const JMessage *m)
{
        if (!m->planned || deadline_has_passed(j, m))
                return;
        if (m->fanout) {
                fanout_dead(j, m);
                return;
        }
        if (!is_exhausted(m) && !was_in_conflict(m))
                breach(j, RULE_DEAD_IS_JUSTIFIED, m, m->client,
                                "%s gave up %s at attempt %u of %u (0: no limit); its deadline %s",
                                text_process(m->client), text_message(m), m->attempt,
                                planned_message(m)->max_attempts,
                                planned_message(m)->deadline_usec > 0 ? "has not passed" : "is never");
}

static void first_end(Judge *j, JMessage *m, DeliveryState state)
{
        m->end = (uint8_t) state;
        m->end_start = m->client->starts;
        for (JDelivery *d = m->fanout ? NULL : m->deliveries; d; d = d->next)
                flight_end(d);
        message_over(j, m);
        if (message_is_excepted(m))
                return;
        if (state == DELIVERY_ACKED)
                check_acked(j, m);
        else if (state == DELIVERY_REJECTED)
                check_rejected(j, m);
        else if (state == DELIVERY_CANCELLED)
                check_cancelled(j, m);
        else
                check_dead(j, m);
}

/* A message that may run is ended by the answer of its receiver, unless that cannot be reached. */
static void check_asked(Judge *j, const JMessage *m, DeliveryState state)
{
        const JDelivery *d = NULL;

        for (const JDelivery *e = m->deliveries; e; e = e->next)
                if (e->written > 0 && (!d || e->written > d->written))
                        d = e;
        if (!d || m->fanout || m->moved || d->given_up || d->n_sends == 0 || d->told != 0 ||
                        d->failed_told || d->written < m->revived_number || d->sent_on->closed ||
                        d->sent_on->from_start != m->client->starts)
                return;
        breach(j, RULE_ASKED_BEFORE_END, m, m->client,
                        "%s says that %s is %s, but %s may run it, has not answered, and is connected",
                        text_process(m->client), text_message(m), text_state(state),
                        text_process(d->receiver->process));
}

/* A bulk program hears of an ack before it is on the client's disk (not `durable`). The end may be told
 * again: to a second program with the same idempotency key, or by an event after SETTLEMENT. */
static void end(Judge *j, JMessage *m, DeliveryState state, bool durable)
{
        if (durable && !m->end_durable && state != DELIVERY_ACKED && !message_is_excepted(m))
                check_asked(j, m, state);
        if (m->end == 0)
                first_end(j, m, state);
        else if (m->end != state && !message_is_excepted(m))
                breach(j, RULE_ONE_END, m, m->client, "%s says that %s is %s, but it has said %s before",
                                text_process(m->client), text_message(m), text_state(state),
                                text_state(m->end));
        if (!durable || m->end_durable)
                return;
        m->end_durable = true;
        /* A dead letter goes to the disk, whatever it was before. */
        m->transient = m->transient && !delivery_state_is_dead_letter(state);
        m->ended = j->o->index;
        message_unkeep(m);
        if (delivery_state_is_dead_letter(state) && !m->purge_asked)
                message_keep(m);
}

/* The choice of a receiver was undone. */
static void unbound(JMessage *m)
{
        m->moved = true;
        for (JDelivery *d = m->fanout ? NULL : m->deliveries; d; d = d->next) {
                d->given_up = true;
                d->ending = false;
                flight_end(d);
        }
}

/* An attempt begins. A bulk message does not report that. */
static void sent(Judge *j, JDelivery *d)
{
        d->sent_at = j->o->at;
        d->ending = false;
}

/* The client counts the attempt as over. So it has sent it, although the frame may still lie in the output
 * of the connection; of a bulk only this event tells that. */
static void no_ack(Judge *j, JDelivery *d)
{
        const JProcess *client = d->message->client;

        attempt_is_over(d, j->o->attempt);
        flight_end(d);
        d->had_no_ack = true;
        if (d->sent_at > client->started_at && j->o->at - d->sent_at < client_ack_timeout(j, client))
                breach(j, RULE_ATTEMPTS_GROW, d->message, client,
                                "%s says that %s had no ack in time from %s, but it has waited only since "
                                "%s",
                                text_process(client), text_message(d->message),
                                text_process(d->receiver->process), text_time(j, d->sent_at));
}

/* Events of one delivery, which say at which receiver. */
static void delivery_event(Judge *j, const Observation *o, JMessage *m, MessageEvent event)
{
        if (sd_id128_is_null(o->receiver))
                return;
        JDelivery *d = judge_delivery_get(j, m, judge_receiver(j, o->receiver));

        if (event == EVENT_SENT)
                sent(j, d);
        else if (event == EVENT_NO_ACK)
                no_ack(j, d);
        else if (event == EVENT_CANCELLING || event == EVENT_GIVING_UP) {
                d->ending = true;
                m->attempt = MAX(m->attempt, o->attempt);
        } else if (event == EVENT_DISCONNECTED && d->sent_at == 0)
                d->sent_at = j->o->at;
}

static void member_ended(Judge *j, const Observation *o, JMessage *m, bool acked)
{
        JDelivery *d = judge_delivery(m, judge_receiver(j, o->receiver));

        m->n_members_acked += acked;
        m->n_members_failed += !acked;
        if (d)
                flight_end(d);
}

static void event(Judge *j, const Observation *o, JMessage *m, MessageEvent event)
{
        static const DeliveryState ends[_MESSAGE_EVENT_MAX] = {
                        [EVENT_ACKED] = DELIVERY_ACKED,
                        [EVENT_REJECTED] = DELIVERY_REJECTED,
                        [EVENT_CANCELLED] = DELIVERY_CANCELLED,
                        [EVENT_DEAD] = DELIVERY_DEAD,
        };

        if (message_event_is_final(event))
                end(j, m, ends[event], true);
        else if (event == EVENT_ACCEPTED)
                m->reported = m->reported > 0 ? m->reported : o->index;
        else if (event == EVENT_QUEUED) {
                const char *why = o->text ?: "";
                if (!strstr(why, "busy"))
                        message_unbound(j, m);
                if (strstr(why, "is gone")) /* its attempt there is charged */
                        m->over = MAX(m->over, o->attempt);
                unbound(m);
                m->unrevived = 0;
        } else if (event >= EVENT_MEMBER_ACKED && event <= EVENT_MEMBER_DEAD)
                member_ended(j, o, m, event == EVENT_MEMBER_ACKED);
        else
                delivery_event(j, o, m, event);
}

void ends_see(Judge *j, const Observation *o)
{
        JProcess *client = judge_process(j, o->process);
        /* A copy of a client repeats what the client does. */
        JMessage *m = client->role == ROLE_CLIENT ? judge_message_get(j, o->id, client, UINT64_MAX) : NULL;

        /* What a program reads late is the end before somebody retried the message. */
        if (!m || (o->kind == OBS_END && o->flagged && m->revived))
                return;
        if (o->kind == OBS_MESSAGE_EVENT)
                event(j, o, m, (MessageEvent) o->number);
        /* A program may read late how a message ended that somebody has retried meanwhile. */
        else if (!(m->past_ends & (1u << o->state)))
                end(j, m, (DeliveryState) o->state, o->detail == 1);
}
