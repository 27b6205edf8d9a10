/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/trace.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "sim/describe.h"

/* The canonical form: each value as eight bytes, little-endian; texts with their length in front. */
typedef struct Form {
        uint8_t bytes[1024];
        size_t n;
        uint64_t hash;
} Form;

static void flush(Form *f)
{
        if (f->n > 0)
                f->hash = XXH3_64bits_withSeed(f->bytes, f->n, f->hash);
        f->n = 0;
}

static void add_bytes(Form *f, const void *data, size_t n)
{
        if (n == 0)
                return;
        if (n > sizeof f->bytes - f->n)
                flush(f);
        if (n > sizeof f->bytes) {
                f->hash = XXH3_64bits_withSeed(data, n, f->hash);
                return;
        }
        memcpy(f->bytes + f->n, data, n);
        f->n += n;
}

static void add_number(Form *f, uint64_t n)
{
        n = htole64(n);
        add_bytes(f, &n, sizeof n);
}

static void add_id(Form *f, sd_id128_t id)
{
        add_bytes(f, id.bytes, sizeof id.bytes);
}

static void add_text(Form *f, const void *data, size_t n)
{
        add_number(f, n);
        add_bytes(f, data, n);
}

static void add_part(Form *f, Bytes b)
{
        add_text(f, b.data, b.size);
}

static void add_process(Form *f, const Process *p)
{
        add_number(f, p ? process_index(p) + 1 : 0);
}

static void add_identity(Form *f, sd_id128_t stream, uint64_t sequence, sd_id128_t message)
{
        add_id(f, stream);
        add_number(f, sequence);
        add_id(f, message);
}

static void add_peer_frame(Form *f, const Frame *x)
{
        switch (x->type) {
        case FRAME_HELLO:
                add_id(f, x->hello.receiver);
                add_id(f, x->hello.sender);
                add_part(f, x->hello.name);
                break;
        case FRAME_WELCOME:
                add_id(f, x->welcome.receiver);
                add_id(f, x->welcome.instance);
                add_number(f, x->welcome.credit);
                add_number(f, x->welcome.window);
                add_number(f, x->welcome.max_payload);
                add_part(f, x->welcome.name);
                break;
        case FRAME_MESSAGE:
                add_identity(f, x->message.stream, x->message.sequence, x->message.message);
                add_number(f, x->message.attempt);
                add_number(f, x->message.flags);
                add_part(f, x->message.attributes);
                add_part(f, x->message.payload);
                break;
        case FRAME_ANSWER:
                add_identity(f, x->answer.stream, x->answer.sequence, x->answer.message);
                add_number(f, x->answer.attempt);
                add_number(f, x->answer.outcome);
                add_number(f, x->answer.delay_ms);
                add_number(f, x->answer.flags);
                add_part(f, x->answer.data);
                break;
        case FRAME_SETTLED:
                add_id(f, x->settled.stream);
                add_number(f, x->settled.flags);
                add_number(f, x->settled.low);
                add_number(f, x->settled.n_ranges);
                add_part(f, x->settled.ranges);
                break;
        default:
                add_identity(f, x->cancel.stream, x->cancel.sequence, x->cancel.message);
        }
}

static void add_frame(Form *f, const Frame *x)
{
        add_number(f, x->type);
        switch (x->type) {
        case FRAME_HELLO:
        case FRAME_WELCOME:
        case FRAME_MESSAGE:
        case FRAME_ANSWER:
        case FRAME_SETTLED:
        case FRAME_CANCEL:
                add_peer_frame(f, x);
                break;
        case FRAME_PING:
        case FRAME_PONG:
                add_number(f, x->token);
                break;
        case FRAME_CREDIT:
                add_number(f, x->credit);
                break;
        case FRAME_PRUNED:
                add_id(f, x->stream);
                break;
        case FRAME_GOODBYE:
                add_number(f, x->reason);
                break;
        case FRAME_ERROR:
                add_part(f, x->text);
                break;
        case FRAME_SUBMIT:
                add_part(f, x->submit.attributes);
                add_part(f, x->submit.payload);
                break;
        case FRAME_ACCEPTED:
                add_number(f, x->accepted.first);
                add_part(f, x->accepted.ids);
                break;
        case FRAME_REFUSED:
                add_number(f, x->refused.number);
                add_part(f, x->refused.reason);
                add_part(f, x->refused.text);
                break;
        case FRAME_SETTLEMENT:
                add_number(f, x->settlement.number);
                add_number(f, x->settlement.attempts);
                add_number(f, x->settlement.end);
                add_part(f, x->settlement.data);
                break;
        }
}

uint64_t trace_hash(uint64_t hash, const Observation *o)
{
        Form f;

        f.n = 0;
        f.hash = hash;
        add_number(&f, o->kind);
        add_number(&f, o->at);
        add_process(&f, o->process);
        add_number(&f, o->step ? o->step->index : 0);
        add_number(&f, o->message);
        add_id(&f, o->id);
        add_id(&f, o->stream);
        add_id(&f, o->receiver);
        add_number(&f, o->sequence);
        add_number(&f, o->number);
        add_number(&f, o->attempt);
        add_number(&f, (uint64_t) (int64_t) o->state);
        add_number(&f, (uint64_t) (int64_t) o->detail);
        add_number(&f, o->flagged);
        add_text(&f, o->text, o->text ? strlen(o->text) : 0);
        if (o->net) {
                add_number(&f, o->net->kind);
                add_number(&f, o->net->connection);
                add_process(&f, o->net->from);
                add_process(&f, o->net->to);
                add_number(&f, (uint64_t) (int64_t) o->net->error);
        }
        if (o->frame)
                add_frame(&f, o->frame);
        flush(&f);
        return f.hash;
}

/* Lines. */

struct Trace {
        Describer *describer;
        FILE *to;
        uint64_t began;
};

Trace *trace_new(const Plan *plan, uint64_t began, FILE *to)
{
        Trace *t = calloc(1, sizeof *t);

        assert(t);
        t->describer = describer_new(plan);
        t->began = began;
        t->to = to;
        return t;
}

Trace *trace_free(Trace *t)
{
        if (t)
                (void) describer_free(t->describer);
        free(t);
        return NULL;
}

void trace_see(Trace *t, const Observation *o)
{
        const uint64_t at = o->at - t->began;
        char what[1200];

        describer_see(t->describer, o);
        describer_what(t->describer, o, what, sizeof what);
        fprintf(t->to, "%7" PRIu64 " %5" PRIu64 ".%06" PRIu64 "  %-9s  %s\n", o->index, at / 1000000,
                        at % 1000000, describer_who(o), what);
}
