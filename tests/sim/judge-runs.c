/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What handlers do. */
#include "sim/judge-duties.h"

/* The run is over: it ended, or its receiver did (a handler ends with its receiver). */
static bool is_over(const JRun *r)
{
        return r->ended || r->start != r->process->starts || !r->process->up;
}

static const char *text_run_end(const Judge *j, const JRun *r)
{
        static const char *const ends[] = {
                        [RUN_DONE] = "was done",
                        [RUN_FAILED] = "failed",
                        [RUN_REJECTED] = "rejected it",
                        [RUN_KILLED] = "was killed",
        };

        return r->ended ? ends[r->end] : is_over(r) ? "ended with its receiver" : "still runs";
}

/* A frame that was read must have asked for the run: this message, under this sequence, at this receiver.
 * What waits in the queue when SETTLED comes may still run. */
static void check_asked(Judge *j, const JRun *r, JStream *s, uint64_t sequence)
{
        const JMessage *m = r->delivery->message;
        const JEntry *e = s ? judge_entry(s, sequence) : NULL;

        if (!e || e->message != m || !(e->flags & ENTRY_READ))
                breach(j, RULE_RUN_WAS_ASKED, m, r->process,
                                "%s runs %s as sequence %llu of stream %s, but it has not read such a "
                                "message",
                                text_process(r->process), text_message(m), (unsigned long long) sequence,
                                s ? text_id(s->id) : "?");
        else if (e->flags & ENTRY_SETTLED_READ && e->read_start != r->start && !stream_is_excepted(s) &&
                        !receiver_is_excepted(r->delivery->receiver, s->settled_read))
                breach(j, RULE_NO_RUN_AFTER_SETTLED, m, r->process,
                                "%s runs %s (sequence %llu of stream %s), which its sender has announced as "
                                "settled",
                                text_process(r->process), text_message(m), (unsigned long long) sequence,
                                text_id(s->id));
}

/* Acked, rejected and cancelled are final at a receiver, also after its crash: they are synced before they
 * are answered. A message in memory only is answered before the sync, so a crash of the receiver may forget
 * it. A message that somebody retries has a new sequence, and no answer to it yet. */
static void check_answered(Judge *j, const JRun *r, const JStream *s, uint64_t sequence)
{
        const JDelivery *d = r->delivery;

        if (d->answered == 0 || d->answered_stream != s || d->answered_sequence != sequence ||
                        receiver_is_excepted(d->receiver, d->answered_number) || stream_is_excepted(s))
                return;
        if (d->message->transient && d->answered_start != r->process->starts)
                return;
        breach(j, d->answered == OUTCOME_CANCELLED ? RULE_NO_RUN_AFTER_CANCELLED : RULE_NO_RUN_AFTER_ACK,
                        d->message, r->process, "%s runs %s again, which it answered as %s at %s",
                        text_process(r->process), text_message(d->message), text_outcome(d->answered),
                        text_time(j, d->answered_at));
}

/* Failed is recorded for the attempt: the same attempt, or an earlier one, gets the recorded answer. A run
 * takes the number of a higher attempt that asks meanwhile. */
static void check_failed(Judge *j, const JRun *r)
{
        const JDelivery *d = r->delivery;

        if (d->failed_attempt == 0 || r->attempt > d->failed_attempt || r->stream != d->stream ||
                        r->sequence != d->sequence || receiver_is_excepted(d->receiver, d->failed_number) ||
                        (r->stream && stream_is_excepted(r->stream)))
                return;
        if (d->message->transient && d->answered_start != r->process->starts)
                return;
        breach(j, RULE_FAILED_IS_RECORDED, d->message, r->process,
                        "%s runs attempt %u of %s, but it has answered that attempt %u failed",
                        text_process(r->process), r->attempt, text_message(d->message), d->failed_attempt);
}

/* Under one sequence, one run after the other. A crash of the receiver ends its runs. A message that has
 * moved away, and has come back, may still run there under its older sequence. */
static void check_overlap(Judge *j, const JRun *r)
{
        const JRun *before = r->previous;

        if (before && !is_over(before) && before->process == r->process && before->stream == r->stream &&
                        before->sequence == r->sequence)
                breach(j, RULE_NO_OVERLAP, r->delivery->message, r->process,
                                "%s begins another run of %s, but the run that began at %s has not ended",
                                text_process(r->process), text_message(r->delivery->message),
                                text_time(j, before->began_at));
}

static uint64_t written(const JRun *r)
{
        const JEntry *e = r->stream ? judge_entry(r->stream, r->sequence) : NULL;

        return e ? e->written : 0;
}

/* The message has moved away and has come back, under another sequence. A receiver that was frozen reads
 * both frames, and may begin the newer one first. */
static bool has_come_back(const JRun *newer, const JRun *r)
{
        return newer->flagged && (newer->stream != r->stream || newer->sequence != r->sequence) &&
               written(newer) > written(r);
}

/* The flag says that an earlier run may have been. So the second run under one sequence must have it; and of
 * two runs under different ones, or at different receivers, that one whose message was first written later
 * (the frame of the other one may have been on its way for long). A receiver without a record runs a message
 * with the flag that its frame has. Members of a message to several are separate. */
static const JRun *earlier_run(const JRun *r)
{
        const JDelivery *d = r->delivery;

        for (const JRun *p = r->previous; p; p = p->previous)
                if (!has_come_back(p, r))
                        return p;
        for (const JDelivery *e = d->message->fanout ? NULL : d->message->deliveries; e; e = e->next)
                for (const JRun *p = e != d ? e->run : NULL; p; p = p->previous)
                        if (written(p) < written(r))
                                return p;
        return NULL;
}

static void check_flag(Judge *j, const JRun *r)
{
        const JMessage *m = r->delivery->message;
        const JRun *before = earlier_run(r);

        if (!before)
                return;
        if (r->flagged || flag_is_excepted(m))
                return;
        breach(j, RULE_FLAGGED, m, r->process,
                        "%s runs %s a second time without the possible-duplicate flag; the run before was "
                        "at "
                        "%s, began at %s and %s",
                        text_process(r->process), text_message(m), text_process(before->process),
                        text_time(j, before->began_at), text_run_end(j, before));
}

/* A submission without an answer may run, and so may one of several with the same number. A client erases
 * what its disk refused; where that is refused, too, it may be found at the next start. */
static void check_refused(Judge *j, const JMessage *m, const JProcess *p)
{
        const JPlanned *n = m->planned;

        if (!n || n->n_refused == 0 || n->n_refused < n->n_submitted || message_is_excepted(m) ||
                        (n->n_refused_by_disk > 0 && n->unerased))
                return;
        breach(j, n->n_refused_by_disk > 0 ? RULE_REFUSED_BY_DISK_IS_NOT_RUN : RULE_REFUSED_IS_NOT_RUN, m, p,
                        "%s runs %s, but %s refused it", text_process(p), text_message(m),
                        text_process(m->client));
}

/* A bit that flips in the files of a client may change a payload in them. */
static void check_payload(Judge *j, const Observation *o, const JMessage *m, const JProcess *p)
{
        if (o->detail == 1 && !(m && m->client->damaged))
                breach(j, RULE_PAYLOAD_IS_INTACT, m, p, "%s runs %s with a payload that nobody has sent",
                                text_process(p), m ? text_message(m) : text_id(o->id));
}

static void begin(Judge *j, const Observation *o)
{
        JProcess *p = judge_process(j, o->process);
        JMessage *m = judge_message(j, o->id);
        JReceiver *receiver = judge_receiver(j, o->receiver);

        live_run(p);
        check_payload(j, o, m, p);
        if (!m) {
                if (!j->copied)
                        breach(j, RULE_RUN_WAS_ASKED, NULL, p, "%s runs a message %s that nobody has sent",
                                        text_process(p), text_id(o->id));
                return;
        }
        /* A handler may begin when its receiver is killed already. */
        if (o->state == 0 || (uint32_t) o->state == p->starts)
                receiver_of(j, receiver, p);
        JStream *s = judge_stream(j, o->stream);
        JRun *r = judge_run_new(j, o->number, judge_delivery_get(j, m, receiver), p);
        r->stream = s;
        r->sequence = o->sequence;
        r->flagged = o->flagged;
        r->attempt = o->attempt;
        m->n_runs++;
        duties_run(j, r);
        duties_check_drain(j, r);
        check_asked(j, r, s, o->sequence);
        if (s)
                check_answered(j, r, s, o->sequence);
        check_failed(j, r);
        check_overlap(j, r);
        check_flag(j, r);
        check_refused(j, m, p);
        fair_run(j, r);
}

/* A second effect at one receiver is right only in the gap of docs/PROTOCOL.md: the receiver ended (crash,
 * power, stop) after the first effect and before the record, or the run with the first effect did not end
 * well (failed, time limit), or somebody retried the message. A message of mode any or key that has moved
 * away from a receiver that was gone may come back to it, with a new sequence. check_answered() has looked
 * at the record, and check_flag() at the flag. */
static bool may_repeat(const JRun *before, const JRun *r)
{
        const PlannedMessage *p = planned_message(r->delivery->message);
        const bool unrecorded = before->start != r->start || before->process != r->process;
        const bool moves = !p || p->mode == SELECTOR_ANY || p->mode == SELECTOR_KEY;

        if (before->stream != r->stream || before->sequence != r->sequence)
                return moves || r->delivery->message->revived;
        return unrecorded || (before->ended && before->end != RUN_DONE && before->end != RUN_REJECTED);
}

static void check_once(Judge *j, const JRun *r)
{
        const JDelivery *d = r->delivery;
        const JRun *before = r->previous;

        while (before && before->effect == 0)
                before = before->previous;
        if (!before)
                return;
        if (message_is_excepted(d->message) || receiver_is_excepted(d->receiver, before->began) ||
                        (r->stream && stream_is_excepted(r->stream)))
                return;
        if (d->message->revived && before->began < d->message->revived_number)
                return;
        if (!may_repeat(before, r))
                breach(j, RULE_PROCESSED_ONCE, d->message, r->process,
                                "%s processed %s a second time; the first run had its effect at %s and %s, "
                                "and "
                                "%s has run ever since",
                                text_process(r->process), text_message(d->message),
                                text_time(j, before->effect_at), text_run_end(j, before),
                                text_process(r->process));
}

/* Descendants of a handler end with it, and all of them end before the next instance of their receiver
 * serves: the warden holds the lock on the state directory until then. Another state directory has another
 * lock. */
static void effect(Judge *j, const Observation *o)
{
        JRun *r = judge_run(j, o->number);

        if (!r)
                return;
        const bool restored = r->process->marked > 0 && r->start <= r->process->marked_start;
        if (r->ended || (r->process->serving > r->start && !restored))
                breach(j, RULE_EFFECT_IN_RUN, r->delivery->message, r->process,
                                "a run of %s at %s, which began at %s and %s, has an effect afterwards",
                                text_message(r->delivery->message), text_process(r->process),
                                text_time(j, r->began_at), text_run_end(j, r));
        r->effect = o->index;
        r->effect_at = o->at;
        check_once(j, r);
}

static void finish(Judge *j, const Observation *o)
{
        JRun *r = judge_run(j, o->number);

        if (!r)
                return;
        r->ended = true;
        r->end = (RunEnd) o->detail;
        duties_run_end(j, r);
        r->reply_size = o->sequence;
        /* With the power of its machine a handler ends in the same moment as its receiver. */
        if (r->process->alone_start == r->start && o->at > r->process->killed_at)
                fair_charged(r);
        r->delivery->n_done += r->end == RUN_DONE;
        r->delivery->n_rejected += r->end == RUN_REJECTED;
        r->delivery->n_failed += r->end == RUN_FAILED || r->end == RUN_KILLED || r->charged;
}

void runs_see(Judge *j, const Observation *o)
{
        if (o->kind == OBS_RUN)
                begin(j, o);
        else if (o->kind == OBS_EFFECT)
                effect(j, o);
        else if (o->kind == OBS_RUN_MISSED)
                fair_missed(j, o);
        else
                finish(j, o);
}
