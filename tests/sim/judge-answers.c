/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ANSWER: written by a receiver, read by a client. */
#include "sim/judge-duties.h"

/* Written. */

static void lie(Judge *j, const JConnection *c, const JMessage *m, Outcome outcome, const char *but)
{
        breach(j, RULE_ANSWER_IS_TRUE, m, c->to, "%s answers %s to %s for %s, but %s", text_process(c->to),
                        text_outcome(outcome), text_process(c->from), text_message(m), but);
}

/* A final outcome stays; what a message in memory only was answered may be lost in a crash. */
static bool is_recorded_here(const JDelivery *d)
{
        const JProcess *p = d->receiver->process;

        return !receiver_is_excepted(d->receiver, d->answered_number) &&
               !(d->message->transient && p && d->answered_start != p->starts);
}

/* The sequence does not wait, does not run, and has no final outcome. What runs now was asked by MESSAGE, so
 * a run of it that has not ended makes `busy` a lie; so does an outcome that was answered. */
static void check_busy(Judge *j, const AnswerFrame *a, const JConnection *c, const JDelivery *d)
{
        const JStream *s = judge_stream(j, a->stream);
        const JRun *r = d->run;

        if (r && !r->ended && r->start == c->to->starts && r->process == c->to && r->stream == s &&
                        r->sequence == a->sequence)
                lie(j, c, d->message, OUTCOME_BUSY, "it runs there");
        else if (d->answered != 0 && d->answered_stream == s && d->answered_sequence == a->sequence &&
                        is_recorded_here(d))
                lie(j, c, d->message, OUTCOME_BUSY, "it has answered a final outcome before");
}

/* A final outcome belongs to the sequence: under another binding (somebody has retried the message) it may
 * have ended otherwise. */
static bool was_answered_otherwise(
                const JConnection *c, const JDelivery *d, const JEntry *e, Outcome outcome)
{
        if (e->answered == 0 || e->answered == outcome || (e->flags & ENTRY_SETTLED_READ))
                return false;
        return !receiver_is_excepted(d->receiver, e->answered_number) &&
               !(d->message->transient && e->answered_start != c->to->starts);
}

static void check_final(Judge *j, const JConnection *c, const JDelivery *d, const JEntry *e, Outcome outcome)
{
        if (was_answered_otherwise(c, d, e, outcome))
                lie(j, c, d->message, outcome, "it has answered another final outcome before");
        else if (outcome == OUTCOME_ACKED && d->n_done == 0)
                lie(j, c, d->message, outcome, "no handler has finished it there");
        else if (outcome == OUTCOME_REJECTED && d->n_rejected == 0)
                lie(j, c, d->message, outcome, "no handler has rejected it there");
        else if (outcome == OUTCOME_CANCELLED && !d->cancel_read)
                lie(j, c, d->message, outcome, "nobody has asked for that");
}

static void record(Judge *j, const Observation *o, const JConnection *c, JDelivery *d, JEntry *e)
{
        const Outcome outcome = o->frame->answer.outcome;

        d->ever_answered |= (uint16_t) (1u << outcome);
        d->answered = (uint8_t) outcome;
        d->answered_start = c->to->starts;
        d->answered_at = o->at;
        d->answered_number = o->index;
        d->answered_stream = judge_stream(j, o->frame->answer.stream);
        d->answered_sequence = o->frame->answer.sequence;
        /* A client whose disk was damaged may send again what it had settled before it ever sent it. */
        if (!d->message->transient && !(e->flags & (ENTRY_RECORDED | ENTRY_SETTLED)) &&
                        d->answered_sequence >= d->answered_stream->low) {
                e->flags |= ENTRY_RECORDED;
                d->receiver->n_recorded++;
        }
}

/* Final outcomes are sent once they are synced, and from the record. They belong to the sequence, so an
 * answer to an old binding says nothing about the new one. */
static void answered_final(Judge *j, const Observation *o, const JConnection *c, JDelivery *d, JEntry *e)
{
        const AnswerFrame *a = &o->frame->answer;

        if (!receiver_is_excepted(d->receiver, d->written)) {
                check_final(j, c, d, e, a->outcome);
                if (a->outcome == OUTCOME_ACKED)
                        reply_written(j, c, d, a);
        }
        e->answered = (uint8_t) a->outcome;
        e->answered_start = c->to->starts;
        e->answered_number = o->index;
        if (d->stream && sd_id128_equal(d->stream->id, a->stream) && d->sequence == a->sequence)
                record(j, o, c, d, e);
}

/* A handler may reach its time limit before it comes to life: its machine was suspended, or very busy. */
static bool time_limit_has_passed(const Judge *j, const JDelivery *d)
{
        return d->asked_at > 0 && j->o->at - d->asked_at >= j->plan->handler_timeout_usec;
}

/* Failed is recorded per attempt. */
static void note_failed(const Observation *o, const JConnection *c, JDelivery *d)
{
        d->failed_attempt = MAX(d->failed_attempt, o->frame->answer.attempt);
        d->failed_number = o->index;
        d->answered_start = c->to->starts;
}

static void check_outcome(Judge *j, const Observation *o, const JConnection *c, JDelivery *d,
                const JStream *s, JEntry *e)
{
        const AnswerFrame *a = &o->frame->answer;

        if (outcome_is_final(a->outcome)) {
                answered_final(j, o, c, d, e);
                return;
        }
        if (receiver_is_excepted(d->receiver, d->written) || stream_is_excepted(s))
                return;
        if (a->outcome == OUTCOME_FAILED) {
                /* Or it is recorded. */
                if (d->n_failed == 0 && !d->died_with && d->failed_attempt < a->attempt &&
                                !time_limit_has_passed(j, d))
                        lie(j, c, d->message, a->outcome, "no handler has failed there");
                note_failed(o, c, d);
        } else if (a->outcome == OUTCOME_BUSY)
                check_busy(j, a, c, d);
        else if (a->outcome == OUTCOME_SETTLED && !(e->flags & ENTRY_SETTLED_READ) && !s->settled_by_copy)
                lie(j, c, d->message, a->outcome, "its sender has not announced that");
        else if (a->outcome == OUTCOME_CONFLICT)
                breach(j, RULE_NO_CONFLICT, d->message, c->to,
                                "%s answers conflict to %s for %s (sequence %llu of stream %s)",
                                text_process(c->to), text_process(c->from), text_message(d->message),
                                (unsigned long long) a->sequence, text_id(a->stream));
}

/* What a copy of a receiver answers is not judged, nor what is answered to a copy of a client. */
static void answered_copy(const AnswerFrame *a, JDelivery *d)
{
        if (d)
                d->ever_answered |= (uint16_t) (1u << a->outcome);
}

void answer_written(Judge *j, const Observation *o, JConnection *c)
{
        const AnswerFrame *a = &o->frame->answer;
        JMessage *m = judge_message(j, a->message);
        JStream *s = judge_stream(j, a->stream);
        JEntry *e = s ? judge_entry(s, a->sequence) : NULL;
        JReceiver *r = c->to_copy ? c->receiver : c->to->identity;
        JDelivery *d = m && r ? judge_delivery(m, r) : NULL;

        if (c->copied || c->to_copy) {
                answered_copy(a, d);
                return;
        }
        if (!d || !e || e->message != m || !(e->flags & ENTRY_READ) || s->receiver != r) {
                breach(j, RULE_ANSWER_FOR_ASKED, m, c->to,
                                "%s answers %s to %s for sequence %llu of stream %s (id %s), but it has not "
                                "been asked about that",
                                text_process(c->to), text_outcome(a->outcome), text_process(c->from),
                                (unsigned long long) a->sequence, text_id(a->stream), text_id(a->message));
                return;
        }
        if (a->outcome != OUTCOME_WORKING)
                duties_answered(d);
        if (a->outcome == OUTCOME_BUSY) {
                live_busy(j, c);
                turns_refused(j, c);
        } else
                turns_taken(c);
        check_outcome(j, o, c, d, s, e);
        if (a->outcome != OUTCOME_WORKING)
                d->asked_at = 0;
}

/* Read. */

/* `busy` to the only send: it was never started there, or not since somebody retried it. So the client gives
 * the binding up; of a member it does not tell which. */
static void told_busy(const Judge *j, JDelivery *d)
{
        if (d->n_sends != d->n_sends_before + 1)
                return;
        d->n_sends--;
        d->told_busy_at = j->o->at;
        d->given_up = d->message->fanout || !d->message->planned;
}

void answer_read(Judge *j, const Observation *o, JConnection *c)
{
        const AnswerFrame *a = &o->frame->answer;
        JMessage *m = judge_message(j, a->message);
        JDelivery *d = m ? judge_delivery(m, c->receiver) : NULL;

        if (!d || c->copied)
                return;
        c->used_at = o->at;
        /* The client does not heed the refusal of an attempt that is over. */
        if (a->outcome != OUTCOME_BUSY)
                turns_told_other(c);
        else if (a->attempt >= d->attempt && a->attempt > attempts_over(d))
                turns_told_busy(j, m, c);
        if (a->outcome == OUTCOME_WORKING) {
                flight_goes_on(j, d, c);
                d->sent_at = d->sent_at > 0 ? o->at : 0;
                return;
        }
        if (d->flight == c)
                flight_end(d);
        /* The client ignores the answer to a binding that it has given up. */
        if (!d->stream || !sd_id128_equal(d->stream->id, a->stream) || d->sequence != a->sequence)
                return;
        if (a->outcome == OUTCOME_BUSY)
                told_busy(j, d);
        else if (a->outcome == OUTCOME_FAILED) {
                d->failed_told = true;
                waits_failed(j, d);
                attempt_is_over(d, a->attempt);
        } else {
                d->told = (uint8_t) a->outcome;
                d->told_start = c->from->starts;
                live_over(m);
        }
}
