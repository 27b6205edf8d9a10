/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Streams and their sequences: who has them, and what is settled. */
#include "sim/judge-inside.h"

/* Each start of a client opens a new stream to each receiver. A later start sends what was bound in an
 * earlier one, so a stream may be seen late; but it gives out no sequences of it any more. */
static void check_owner(Judge *j, const JStream *s, const JMessage *m, const JConnection *c)
{
        const char *what = NULL;

        if (s->client != c->from)
                what = "was used by another client";
        else if (s->receiver != c->receiver)
                what = "was used for another receiver";
        else if (s->first_start < c->from->starts && m->known_start == c->from->starts &&
                        m->known > c->from->started)
                what = "belongs to an earlier start, while the message is of this one";
        if (what)
                breach(j, RULE_SEQUENCE_IS_UNIQUE, m, c->from,
                                "%s sends %s to %s under stream %s, which %s (%s, start %u)",
                                text_process(c->from), text_message(m), text_process(c->to), text_id(s->id),
                                what, text_process(s->client), s->first_start);
}

/* The receiver ends the connection when a sequence is too far above the low mark that it knows: the one that
 * was announced on this connection. */
static void check_window(
                Judge *j, const JStream *s, uint64_t sequence, const JMessage *m, const JConnection *c)
{
        const uint64_t low = s->announced_on == c->number ? s->announced_low : 1;

        if (sequence >= low && sequence - low >= MAX(c->window, 1u))
                breach(j, RULE_WINDOW_IS_KEPT, m, c->from,
                                "%s sends %s to %s as sequence %llu of stream %s, but it has announced only "
                                "what is below %llu as settled, and the window is %u",
                                text_process(c->from), text_message(m), text_process(c->to),
                                (unsigned long long) sequence, text_id(s->id), (unsigned long long) low,
                                c->window);
}

void entry_written(JEntry *e, const Observation *o)
{
        if (e->written == 0)
                e->written = o->index;
}

void streams_sent(Judge *j, const Observation *o, JConnection *c, JMessage *m, sd_id128_t stream,
                uint64_t sequence)
{
        JStream *s = judge_stream_get(j, stream, c->from, c->receiver);
        JEntry *e = judge_entry_get(s, sequence);

        check_window(j, s, sequence, m, c);
        if (!e)
                return;
        entry_written(e, o);
        if (stream_is_excepted(s)) {
                e->message = m;
                return;
        }
        check_owner(j, s, m, c);
        if (e->message && e->message != m)
                breach(j, RULE_SEQUENCE_IS_UNIQUE, m, c->from,
                                "%s sends %s to %s as sequence %llu of stream %s, which is %s",
                                text_process(c->from), text_message(m), text_process(c->to),
                                (unsigned long long) sequence, text_id(stream), text_message(e->message));
        if (e->flags & ENTRY_SETTLED || sequence < s->low)
                breach(j, RULE_SETTLED_IS_FINAL, m, c->from,
                                "%s sends %s to %s as sequence %llu of stream %s, which it has announced as "
                                "settled",
                                text_process(c->from), text_message(m), text_process(c->to),
                                (unsigned long long) sequence, text_id(stream));
        e->message = m;
        e->flags |= ENTRY_WRITTEN;
}

void entry_read(Judge *j, sd_id128_t stream, uint64_t sequence)
{
        JStream *s = judge_stream(j, stream);
        JEntry *e = s ? judge_entry(s, sequence) : NULL;

        if (!e)
                return;
        if (!(e->flags & ENTRY_SETTLED_READ))
                e->read_start = s->receiver->process ? s->receiver->process->starts : 0;
        e->flags |= ENTRY_READ;
        s->used = true;
        s->pruned = false;
        if (!(e->flags & (ENTRY_KNOWN | ENTRY_SETTLED_READ))) {
                e->flags |= ENTRY_KNOWN;
                s->n_known++;
                s->receiver->n_known++;
        }
}

/* SETTLED. */

/* Callers are told of each end of a message that was submitted alone. */
static bool must_be_told(const JMessage *m, const JDelivery *d)
{
        return m->planned && m->planned->step->kind == STEP_SEND && m->accepted > 0 && !m->fanout &&
               !m->transient && !m->revived && d->told != 0 && d->told_start == m->client->starts &&
               !d->given_up;
}

/* May have ended: the client has read the answer that decides, or said so, or given up this binding; or its
 * last allowed attempt failed; or it was in memory only, and is lost; or its receiver was gone, so nobody
 * could be asked. What only the disk knows shows at the next start: streams_loaded_open(). */
static bool may_be_settled(const JMessage *m, const JDelivery *d, const JStream *s, uint64_t sequence)
{
        if (!d || d->stream != s || d->sequence != sequence) /* it has another binding meanwhile */
                return true;
        const bool fanout = m->fanout || !m->planned;
        if (fanout && (m->n_members_failed > 0 || m->end != 0 || d->written_start != m->client->starts))
                return true; /* callers are not told which member has ended */
        if (must_be_told(m, d))
                return m->end_durable;
        return d->told != 0 || d->given_up || d->failed_told || m->lost || m->end_durable || m->forgotten ||
               (m->transient && m->known_start != m->client->starts);
}

static void settle(Judge *j, JStream *s, uint64_t sequence, JEntry *e)
{
        const JMessage *m = e->message;
        const JDelivery *d = judge_delivery(m, s->receiver);

        e->flags |= ENTRY_SETTLED;
        if (e->flags & ENTRY_RECORDED) {
                e->flags &= (uint8_t) ~ENTRY_RECORDED;
                s->receiver->n_recorded--;
        }
        if (may_be_settled(m, d, s, sequence) || stream_is_excepted(s) || message_is_excepted(m))
                return;
        if (s->client->loaded != s->client->starts)
                return; /* it may have ended on the disk only: streams_loaded_open() sees it */
        breach(j, RULE_SETTLED_IS_ENDED, m, s->client,
                        "%s announces %s (sequence %llu of stream %s) as settled, but it has neither ended "
                        "nor "
                        "moved",
                        text_process(s->client), text_message(m), (unsigned long long) sequence,
                        text_id(s->id));
}

static void cover(Judge *j, JStream *s, uint64_t first, uint64_t last, uint8_t flag)
{
        last = MIN(last, s->n_entries);
        for (uint64_t q = MAX(first, (uint64_t) 1); q <= last; q++) {
                JEntry *e = s->entries + q - 1;
                if (!e->message || e->flags & flag)
                        continue;
                if (flag == ENTRY_SETTLED)
                        settle(j, s, q, e);
                else if (e->flags & ENTRY_KNOWN) {
                        e->flags &= (uint8_t) ~ENTRY_KNOWN;
                        s->n_known--;
                        s->receiver->n_known--;
                }
                e->flags |= flag;
        }
}

/* Of a closed stream everything is settled, whatever the frame lists. */
static void cover_all(Judge *j, JStream *s, const SettledFrame *f, uint64_t from, uint8_t flag)
{
        if (f->flags & SETTLED_CLOSED)
                cover(j, s, from, UINT64_MAX, flag);
        if (f->low > from)
                cover(j, s, from, f->low - 1, flag);
        for (size_t i = 0; i < f->n_ranges; i++) {
                const SequenceRange range = settled_frame_range(f, i);
                cover(j, s, range.first, range.last, flag);
        }
}

void streams_settled(Judge *j, const Observation *o, JConnection *c)
{
        const SettledFrame *f = &o->frame->settled;
        JStream *s = c->copied ? NULL : judge_stream_get(j, f->stream, c->from, c->receiver);

        if (!s)
                return;
        cover_all(j, s, f, s->low, ENTRY_SETTLED);
        s->low = MAX(s->low, f->low);
        s->closed = s->closed || f->flags & SETTLED_CLOSED;
        s->announced_low = s->announced_on == c->number ? MAX(s->announced_low, f->low) : f->low;
        s->announced_on = c->number;
}

void streams_settled_read(Judge *j, const Observation *o, JConnection *c)
{
        const SettledFrame *f = &o->frame->settled;
        JStream *s = judge_stream(j, f->stream);

        if (!s)
                return;
        if (c->copied) {
                s->settled_by_copy = s->receiver->told_by_copy = true;
                return;
        }
        cover_all(j, s, f, s->low_read, ENTRY_SETTLED_READ);
        s->low_read = MAX(s->low_read, f->low);
        s->closed_read = s->closed_read || f->flags & SETTLED_CLOSED;
        s->settled_read = o->index;
        s->used = true;
        s->pruned = false;
}

/* The settlement was announced, so its sync had to come before. */
void streams_loaded_open(Judge *j, const JMessage *m)
{
        const JDelivery *d = m->deliveries;

        if (m->fanout || message_is_excepted(m))
                return;
        while (d && (d->first_written == 0 || d->given_up))
                d = d->next;
        const JEntry *e = d && d->stream ? judge_entry(d->stream, d->sequence) : NULL;
        if (e && e->message == m && e->flags & ENTRY_SETTLED)
                breach(j, RULE_SETTLED_IS_ENDED, m, m->client,
                                "%s announced %s (sequence %llu of stream %s) as settled, but after its "
                                "restart "
                                "it is open",
                                text_process(m->client), text_message(m), (unsigned long long) d->sequence,
                                text_id(d->stream->id));
}

/* PRUNED confirms that a closed stream is forgotten. */
void stream_pruned(Judge *j, const Observation *o, JConnection *c)
{
        JStream *s = judge_stream(j, o->frame->stream);

        if (s)
                s->pruned = true;
        if (!c->copied && !c->to_copy && !(s && (s->closed_read || s->settled_by_copy)))
                breach(j, RULE_ANSWER_IS_TRUE, NULL, c->to,
                                "%s says that it has forgotten stream %s, but nobody has told it that the "
                                "stream is closed",
                                text_process(c->to), text_id(o->frame->stream));
}
