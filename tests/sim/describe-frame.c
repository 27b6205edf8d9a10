/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/describe-frame.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void frame_subject(const Frame *f, sd_id128_t *ret_message, sd_id128_t *ret_stream)
{
        *ret_message = *ret_stream = SD_ID128_NULL;
        switch (f->type) {
        case FRAME_MESSAGE:
                *ret_message = f->message.message;
                *ret_stream = f->message.stream;
                break;
        case FRAME_ANSWER:
                *ret_message = f->answer.message;
                *ret_stream = f->answer.stream;
                break;
        case FRAME_CANCEL:
                *ret_message = f->cancel.message;
                *ret_stream = f->cancel.stream;
                break;
        case FRAME_SETTLED:
                *ret_stream = f->settled.stream;
                break;
        case FRAME_PRUNED:
                *ret_stream = f->stream;
                break;
        default:
                break;
        }
}

static void describe_message(const Describer *d, const Frame *f, char *ret, size_t size)
{
        const MessageFrame *m = &f->message;
        char name[MESSAGE_NAME_MAX];

        (void) snprintf(ret, size, "%s (attempt %u, sequence %" PRIu64 " of stream …%02x%s%s%s)",
                        describer_name(d, m->message, name), m->attempt, m->sequence, m->stream.bytes[15],
                        m->flags & MESSAGE_POSSIBLE_DUPLICATE ? ", possible duplicate" : "",
                        m->flags & MESSAGE_TRANSIENT ? ", in memory only" : "",
                        m->flags & MESSAGE_BULK ? ", of a bulk" : "");
}

static void describe_answer(const Describer *d, const Frame *f, char *ret, size_t size)
{
        const AnswerFrame *a = &f->answer;
        char name[MESSAGE_NAME_MAX];

        (void) snprintf(ret, size, "%s, of %s (attempt %u, sequence %" PRIu64 " of stream …%02x)",
                        outcome_to_string(a->outcome), describer_name(d, a->message, name), a->attempt,
                        a->sequence, a->stream.bytes[15]);
}

static void describe_settled(const Frame *f, char *ret, size_t size)
{
        const SettledFrame *s = &f->settled;
        size_t n;

        (void) snprintf(ret, size, "settled, of stream …%02x%s: all", s->stream.bytes[15],
                        s->flags & SETTLED_CLOSED ? ", closed" : "");
        n = strlen(ret);
        if (s->low < INT64_MAX)
                (void) snprintf(ret + n, size - n, " below %" PRIu64, s->low);
        for (size_t i = 0; i < s->n_ranges && i < 8; i++) {
                const SequenceRange r = settled_frame_range(s, i);

                n = strlen(ret);
                if (r.last >= INT64_MAX - 1)
                        (void) snprintf(ret + n, size - n, ", all from %" PRIu64 " on", r.first);
                else
                        (void) snprintf(ret + n, size - n, ", %" PRIu64 "-%" PRIu64, r.first, r.last);
        }
        n = strlen(ret);
        if (s->n_ranges > 8)
                (void) snprintf(ret + n, size - n, " …");
}

static void describe_program(const Frame *f, char *ret, size_t size)
{
        static const char *const ends[_SETTLEMENT_MAX] = {
                        [SETTLEMENT_ACKED] = "acked",
                        [SETTLEMENT_REJECTED] = "rejected",
                        [SETTLEMENT_CANCELLED] = "cancelled",
                        [SETTLEMENT_DEAD] = "dead",
        };

        switch (f->type) {
        case FRAME_SUBMIT:
                (void) snprintf(ret, size, "a submission of %zu bytes", f->submit.payload.size);
                break;
        case FRAME_ACCEPTED:
                (void) snprintf(ret, size, "accepted, %zu from submission %" PRIu64 " on",
                                f->accepted.ids.size / 16, f->accepted.first);
                break;
        case FRAME_REFUSED:
                (void) snprintf(ret, size, "refused, submission %" PRIu64 ": %.*s", f->refused.number,
                                (int) f->refused.reason.size, (const char *) f->refused.reason.data);
                break;
        default:
                (void) snprintf(ret, size, "the end of submission %" PRIu64 ": %s after %u attempts",
                                f->settlement.number,
                                (unsigned) f->settlement.end < _SETTLEMENT_MAX && ends[f->settlement.end]
                                                ? ends[f->settlement.end]
                                                : "?",
                                f->settlement.attempts);
        }
}

void describe_frame(const Describer *d, const Frame *f, char *ret, size_t size)
{
        char name[MESSAGE_NAME_MAX];

        switch (f->type) {
        case FRAME_MESSAGE:
                describe_message(d, f, ret, size);
                break;
        case FRAME_ANSWER:
                describe_answer(d, f, ret, size);
                break;
        case FRAME_SETTLED:
                describe_settled(f, ret, size);
                break;
        case FRAME_HELLO:
                (void) snprintf(ret, size, "hello, for receiver …%02x%02x", f->hello.receiver.bytes[14],
                                f->hello.receiver.bytes[15]);
                break;
        case FRAME_WELCOME:
                (void) snprintf(ret, size, "welcome, from receiver …%02x%02x with credit %u",
                                f->welcome.receiver.bytes[14], f->welcome.receiver.bytes[15],
                                f->welcome.credit);
                break;
        case FRAME_CANCEL:
                (void) snprintf(ret, size, "cancel %s (sequence %" PRIu64 " of stream …%02x)",
                                describer_name(d, f->cancel.message, name), f->cancel.sequence,
                                f->cancel.stream.bytes[15]);
                break;
        case FRAME_PING:
        case FRAME_PONG:
                (void) snprintf(ret, size, "%s", f->type == FRAME_PING ? "ping" : "pong");
                break;
        case FRAME_CREDIT:
                (void) snprintf(ret, size, "credit %u", f->credit);
                break;
        case FRAME_PRUNED:
                (void) snprintf(ret, size, "pruned, stream …%02x", f->stream.bytes[15]);
                break;
        case FRAME_GOODBYE:
                (void) snprintf(ret, size, "goodbye (%s)",
                                f->reason == GOODBYE_RESTARTING ? "restarting" : "stopping");
                break;
        case FRAME_ERROR:
                (void) snprintf(ret, size, "error: %.*s", (int) f->text.size, (const char *) f->text.data);
                break;
        default:
                describe_program(f, ret, size);
        }
}
