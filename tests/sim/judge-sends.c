/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* MESSAGE and CANCEL. Writes of one connection are in order; an old frame may still lie in the output of its
 * connection when its message has ended. So rules about writes look at new connections, or at new receivers.
 */
#include "sim/judge-duties.h"

/* `told`: the client has read how it ended at another receiver. Members of a message to several are
 * separate, and those that were sent go on after the whole has ended. */
static void check_ended(Judge *j, const JMessage *m, const JDelivery *d, const JConnection *c)
{
        for (const JDelivery *e = m->fanout ? NULL : m->deliveries; e; e = e->next)
                if (e != d && e->told != 0 && e->told_start == c->from->starts &&
                                e->written > m->revived_number)
                        breach(j, RULE_ENDED_IS_NOT_SENT, m, c->from,
                                        "%s sends %s to %s, but it has read the answer %s of %s",
                                        text_process(c->from), text_message(m), text_process(c->to),
                                        text_outcome(e->told), text_process(e->receiver->process));
        const bool maybe_sent = d->first_written > 0 || d->sent_at > 0 || d->had_no_ack ||
                                m->loaded_start == c->from->starts;
        if (m->end_durable && c->opened > m->ended && !(m->fanout && maybe_sent))
                breach(j, RULE_ENDED_IS_NOT_SENT, m, c->from,
                                "%s sends %s to %s, but it has said that it is %s, and that this is on disk",
                                text_process(c->from), text_message(m), text_process(c->to),
                                text_state(m->end));
}

/* Another receiver that may have started it, or NULL. `busy` to the only send means that it has not. */
static const JDelivery *find_starter(const JMessage *m, const JDelivery *d, bool since_retry)
{
        for (const JDelivery *e = m->deliveries; e; e = e->next)
                if (e != d && e->n_sends > (since_retry ? e->n_sends_before : 0) && e->sent_on)
                        return e;
        return NULL;
}

/* Modes any and key move a message that may have started only when its receiver is gone: not listed, and no
 * connection to it. The judge sees the connection: the one on which it was sent must have ended. A message
 * to a certain receiver stays there for ever. */
static void check_move(Judge *j, const JMessage *m, const JDelivery *d, const JConnection *c)
{
        const PlannedMessage *p = planned_message(m);
        const JDelivery *e = find_starter(m, d, true);

        if (m->fanout || !e || e->written < m->revived_number)
                return;
        if (p && p->mode == SELECTOR_TO)
                breach(j, RULE_FAILOVER_ONLY_WHEN_GONE, m, c->from,
                                "%s sends %s to %s (%s), but it is for %s (%s), where it was sent before",
                                text_process(c->from), text_message(m), text_process(c->to),
                                text_id(d->receiver->id), text_process(e->receiver->process),
                                text_id(e->receiver->id));
        else if (!e->sent_on->closed && e->sent_on->from_start == c->from->starts)
                breach(j, RULE_FAILOVER_ONLY_WHEN_GONE, m, c->from,
                                "%s sends %s to %s, but %s may have started it, and their connection %llu "
                                "has "
                                "not ended",
                                text_process(c->from), text_message(m), text_process(c->to),
                                text_process(e->receiver->process), (unsigned long long) e->sent_on->number);
}

/* The flag may be missing only on a send before which no other may have started the message. */
static void check_flag(Judge *j, const Observation *o, const JMessage *m, const JDelivery *d)
{
        const JDelivery *e = d->n_sends > 0 ? d : m->fanout ? NULL : find_starter(m, d, false);

        if (e && !(o->frame->message.flags & MESSAGE_POSSIBLE_DUPLICATE))
                breach(j, RULE_SENDER_FLAGS, m, m->client,
                                "%s sends %s without the possible-duplicate flag, but it has sent it to %s "
                                "at "
                                "%s, and the answer was not (only) busy",
                                text_process(m->client), text_message(m), text_process(e->receiver->process),
                                text_time(j, e->last_written_at));
}

/* The client gives up the binding of a message because its receiver is gone. A dead letter that was tried
 * again has a new binding: a message to a name goes to whoever has that, unless it was sent since then. */
void message_unbound(Judge *j, JMessage *m)
{
        const JDelivery *e = NULL;

        for (const JDelivery *d = m->deliveries; d; d = d->next)
                if (d->n_sends > d->n_sends_before && d->sent_on && !d->given_up &&
                                (!e || d->written > e->written))
                        e = d;
        if (e && !m->fanout && m->end == 0 && !message_is_excepted(m) && e->written > m->revived_number &&
                        is_listed(j, e->receiver))
                breach(j, RULE_FAILOVER_ONLY_WHEN_GONE, m, m->client,
                                "%s moves %s away from %s, which may have started it, but discovery has "
                                "listed that since %s",
                                text_process(m->client), text_message(m), text_process(e->receiver->process),
                                text_time(j, e->receiver->process->listed_at));
}

static bool is_binding(const JDelivery *d, const Observation *o)
{
        return d->stream && sd_id128_equal(d->stream->id, o->frame->message.stream) &&
               d->sequence == o->frame->message.sequence;
}

uint32_t attempts_over(const JDelivery *d)
{
        return d->message->fanout ? d->over : d->message->over;
}

/* It may not be known yet that the message is one to several. */
void attempt_is_over(JDelivery *d, uint32_t attempt)
{
        d->over = MAX(d->over, attempt);
        d->message->over = MAX(d->message->over, attempt);
}

/* A higher number needs a failure that the client has read, or an attempt that it has reported as
 * unanswered. Under one binding, in one start of the client, numbers do not shrink; a crash may lose the
 * newest ones. */
static void check_attempt(
                Judge *j, const Observation *o, const JMessage *m, JDelivery *d, const JConnection *c)
{
        const uint32_t attempt = o->frame->message.attempt;

        if (attempt > attempts_over(d) + 1)
                breach(j, RULE_ATTEMPTS_GROW, m, c->from,
                                "%s counts attempt %u of %s as failed, but it has read no failure, and has "
                                "not "
                                "reported that there was no ack",
                                text_process(c->from), attempt - 1, text_message(m));
        else if (d->written > 0 && d->written_start == c->from->starts && is_binding(d, o) &&
                        attempt < d->attempt)
                breach(j, RULE_ATTEMPTS_GROW, m, c->from, "%s sends attempt %u of %s to %s after attempt %u",
                                text_process(c->from), attempt, text_message(m), text_process(c->to),
                                d->attempt);
}

/* Under a new binding it has no answer yet. */
static void set_binding(JDelivery *d, JStream *s, uint64_t sequence)
{
        if (d->stream == s && d->sequence == sequence)
                return;
        d->stream = s;
        d->sequence = sequence;
        d->told = d->answered = 0;
        d->told_before = false;
        d->failed_attempt = 0;
        d->given_up = false;
}

static void note_write(Judge *j, const Observation *o, JMessage *m, JDelivery *d, JConnection *c)
{
        const MessageFrame *f = &o->frame->message;
        JStream *s = judge_stream(j, f->stream);

        set_binding(d, s, f->sequence);
        if (d->first_written == 0)
                d->first_written = o->index, d->first_written_at = o->at;
        d->written = o->index;
        d->last_written_at = o->at;
        d->handed_at = o->since;
        d->written_start = c->from->starts;
        d->attempt = f->attempt;
        d->failed_told = false;
        d->given_up = false;
        d->told_busy_at = 0;
        c->used_at = o->at;
        d->n_sends++;
        d->sent_on = c;
        m->attempt = MAX(m->attempt, f->attempt);
        m->moved = false;
        m->on_wire = true;
}

/* A copy of a client sends what the client had: no rule is about it, but its frames ask for runs. */
static void copied(Judge *j, const Observation *o, JConnection *c)
{
        const MessageFrame *f = &o->frame->message;
        JProcess *original = c->from->original;
        JMessage *m = original ? judge_message_get(j, f->message, original, o->message)
                               : judge_message(j, f->message);
        JStream *s = judge_stream_get(j, f->stream, c->from, c->receiver);
        JEntry *e = judge_entry_get(s, f->sequence);

        if (!m || !e)
                return;
        entry_written(e, o);
        e->message = m;
        e->flags |= ENTRY_WRITTEN;
        JDelivery *d = judge_delivery_get(j, m, c->receiver);
        if (d->first_written == 0)
                d->first_written = o->index, d->first_written_at = o->at;
}

void message_written(Judge *j, const Observation *o, JConnection *c)
{
        const MessageFrame *f = &o->frame->message;

        if (c->copied) {
                copied(j, o, c);
                return;
        }
        JMessage *m = judge_message_get(j, f->message, c->from, o->message);
        JDelivery *d = judge_delivery_get(j, m, c->receiver);
        const bool first = !m->on_wire;

        if (c->goodbye_client)
                breach(j, RULE_GOODBYE_IS_RESPECTED, m, c->from,
                                "%s sends %s to %s on connection %llu after its GOODBYE",
                                text_process(c->from), text_message(m), text_process(c->to),
                                (unsigned long long) c->number);
        streams_sent(j, o, c, m, f->stream, f->sequence);
        if (!flag_is_excepted(m))
                check_flag(j, o, m, d);
        if (!message_is_excepted(m)) {
                check_ended(j, m, d, c);
                check_move(j, m, d, c);
                check_attempt(j, o, m, d, c);
                turns_sent(j, m, d, c);
                times_sent(j, m, d, c);
                waits_sent(j, m, d, c);
                keys_sent(j, m);
        }
        /* The frame of an attempt that is over, or of a message that is answered, may have lain in the
         * output. */
        if (f->attempt > attempts_over(d) && !(d->told != 0 && is_binding(d, o))) {
                credit_check(j, m, c, d);
                flight_begin(j, d, c);
        }
        live_count_send(j, m, d, c);
        note_write(j, o, m, d, c);
        if (f->flags & MESSAGE_TRANSIENT)
                message_keep(m);
        else
                message_held(j, m);
        live_sent(j, m, c, first);
}

void message_read(Judge *j, const Observation *o, JConnection *c)
{
        JMessage *m = c->copied ? NULL : judge_message(j, o->frame->message.message);
        JDelivery *d = m && c->receiver ? judge_delivery(m, c->receiver) : NULL;

        entry_read(j, o->frame->message.stream, o->frame->message.sequence);
        if (!d)
                return;
        if (d->asked_at == 0)
                d->asked_at = o->at;
        duties_read(j, d, c);
}

void cancel_written(Judge *j, const Observation *o, JConnection *c)
{
        const CancelFrame *f = &o->frame->cancel;
        JMessage *m = c->copied ? NULL : judge_message_get(j, f->message, c->from, UINT64_MAX);
        JDelivery *d = m ? judge_delivery(m, c->receiver) : NULL;

        if (!m)
                return;
        streams_sent(j, o, c, m, f->stream, f->sequence);
        if (!d)
                d = judge_delivery_get(j, m, c->receiver);
        set_binding(d, judge_stream(j, f->stream), f->sequence);
}

void cancel_read(Judge *j, const Observation *o, JConnection *c)
{
        JMessage *m = judge_message(j, o->frame->cancel.message);
        JDelivery *d = m && c->receiver ? judge_delivery(m, c->receiver) : NULL;

        entry_read(j, o->frame->cancel.stream, o->frame->cancel.sequence);
        if (d)
                d->cancel_read = true;
}
