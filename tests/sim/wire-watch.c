/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/wire-watch.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash-index.h"
#include "base/str-util.h"
#include "sim/observation.h"

/* Bytes of one direction that were handed to the connection at one time. */
typedef struct Queued {
        uint64_t end; /* counted from the beginning of the connection */
        uint64_t at;
} Queued;

/* Bytes of one direction, at one of its ends, up to the next whole frame. */
typedef struct Stage {
        Buffer rest;
        size_t need;     /* so many bytes make the next frame, at least */
        bool garbage;    /* no frames follow any more */
        uint64_t n_done; /* bytes of whole frames */
        /* Where frames are written: what was handed over and is not written. */
        Queued *queued;
        size_t first_queued, n_queued, allocated;
        uint64_t end; /* of the last of them */
} Stage;

typedef struct Wire {
        IndexItem by_number;
        uint64_t number;
        Process *from;             /* who connected */
        Stage written[2], read[2]; /* from it, to it */
        bool ended[2];
} Wire;

static Index wires;

static uint32_t hash(uint64_t number)
{
        return index_hash(0, &number, sizeof number);
}

static Wire *find(uint64_t number)
{
        for (IndexItem *i = index_first(&wires, hash(number)); i; i = index_next(i)) {
                Wire *wire = CONTAINER_OF(i, Wire, by_number);
                if (wire->number == number)
                        return wire;
        }
        return NULL;
}

static Wire *make(const NetEvent *e)
{
        Wire *wire = calloc(1, sizeof *wire);

        assert(wire);
        wire->number = e->connection;
        wire->from = e->from;
        int r = index_add(&wires, &wire->by_number, hash(e->connection));
        assert(r >= 0);
        (void) r;
        return wire;
}

static void wire_free(Wire *wire)
{
        index_remove(&wires, &wire->by_number);
        for (int i = 0; i < 2; i++) {
                buffer_clear(&wire->written[i].rest);
                free(wire->written[i].queued);
                buffer_clear(&wire->read[i].rest);
        }
        free(wire);
}

/* A payload begins with the number of its message in the plan (sim/handler.h). */
static uint64_t read_number(Bytes payload)
{
        uint64_t number = 0;

        if (payload.size < 4)
                return UINT64_MAX;
        for (size_t i = 0; i < 4; i++)
                number = number << 8 | payload.data[i];
        return number;
}

/* The parts of a frame that a line of a trace, or a rule, asks for. */
static void describe(Observation *o, const Frame *f)
{
        switch (f->type) {
        case FRAME_HELLO:
                o->receiver = f->hello.receiver;
                o->id = f->hello.sender;
                break;
        case FRAME_WELCOME:
                o->receiver = f->welcome.receiver;
                o->id = f->welcome.instance;
                break;
        case FRAME_MESSAGE:
                o->message = read_number(f->message.payload);
                o->id = f->message.message;
                o->stream = f->message.stream;
                o->sequence = f->message.sequence;
                o->attempt = f->message.attempt;
                o->flagged = f->message.flags & MESSAGE_POSSIBLE_DUPLICATE;
                break;
        case FRAME_ANSWER:
                o->id = f->answer.message;
                o->stream = f->answer.stream;
                o->sequence = f->answer.sequence;
                o->attempt = f->answer.attempt;
                o->state = (int) f->answer.outcome;
                break;
        case FRAME_CANCEL:
                o->id = f->cancel.message;
                o->stream = f->cancel.stream;
                o->sequence = f->cancel.sequence;
                break;
        case FRAME_SETTLED:
                o->stream = f->settled.stream;
                o->sequence = f->settled.low;
                break;
        case FRAME_PRUNED:
                o->stream = f->stream;
                break;
        default:
                break;
        }
}

static void note_queued(Stage *s, const NetEvent *e)
{
        if (s->first_queued == s->n_queued)
                s->first_queued = s->n_queued = 0;
        if (s->n_queued == s->allocated) {
                s->allocated = MAX(2 * s->allocated, 8u);
                s->queued = reallocarray(s->queued, s->allocated, sizeof *s->queued);
                assert(s->queued);
        }
        s->end += e->size;
        s->queued[s->n_queued++] = (Queued){s->end, e->at};
}

/* When the frame that ends here was handed over. */
static uint64_t queued_since(Stage *s, const NetEvent *e)
{
        while (s->first_queued < s->n_queued && s->queued[s->first_queued].end < s->n_done)
                s->first_queued++;
        return s->first_queued < s->n_queued ? s->queued[s->first_queued].at : e->at;
}

static void see(const NetEvent *e, ObservationKind kind, const Frame *f, const char *text, uint64_t since)
{
        Observation o = {
                        .kind = kind,
                        .since = since,
                        .process = kind == OBS_DELIVER ? e->to : e->from,
                        .number = e->connection,
                        .message = UINT64_MAX,
                        .net = e,
                        .frame = f,
                        .text = text,
        };

        if (f)
                describe(&o, f);
        observe(o);
}

static void see_garbage(const NetEvent *e, Stage *s, const uint8_t *data, size_t size)
{
        _cleanup_free_ char *text = str_printable(data, size, 80);

        s->garbage = true;
        buffer_clear(&s->rest);
        see(e, OBS_GARBAGE, NULL, text, 0);
}

/* Observes the whole frames at the front. Returns how many bytes they have. */
static size_t see_frames(const NetEvent *e, Stage *s, ObservationKind kind, const uint8_t *data, size_t size)
{
        size_t done = 0;

        while (done < size && size - done >= s->need) {
                Error error = {};
                Frame f;

                s->need = 0;
                ssize_t n = frame_decode(data + done, size - done, FRAME_BODY_MAX, &f, &s->need, &error);
                if (n == 0)
                        break;
                if (n < 0) {
                        see_garbage(e, s, data + done, size - done);
                        return size;
                }
                done += (size_t) n;
                s->n_done += (uint64_t) n;
                see(e, kind, &f, NULL, kind == OBS_WRITE ? queued_since(s, e) : 0);
        }
        return done;
}

/* Whole frames are decoded where they are; only what is cut is copied. */
static void take(const NetEvent *e, Stage *s, ObservationKind kind)
{
        const uint8_t *data = e->data;
        size_t size = e->size, done;
        int r = 0;

        if (s->garbage || size == 0)
                return;
        if (buffer_size(&s->rest) > 0) {
                r = buffer_append(&s->rest, data, size);
                assert(r >= 0);
                done = see_frames(e, s, kind, buffer_peek(&s->rest), buffer_size(&s->rest));
                if (!s->garbage)
                        buffer_consume(&s->rest, done);
                return;
        }
        done = see_frames(e, s, kind, data, size);
        if (!s->garbage && done < size)
                r = buffer_append(&s->rest, data + done, size - done);
        assert(r >= 0);
}

/* Bytes that were written may still be read after the writer's end; both ends must be over. */
static void ended(Wire *wire, const NetEvent *e, int side)
{
        const Stage *s = &wire->written[side];

        observe((Observation){
                        .kind = OBS_CLOSE,
                        .process = e->from,
                        .number = e->connection,
                        .message = UINT64_MAX,
                        .flagged = !s->garbage && s->end > s->n_done,
                        .net = e,
        });
        wire->ended[side] = true;
        if (wire->ended[0] && wire->ended[1])
                wire_free(wire);
}

static void on_event(const NetEvent *e, void *userdata)
{
        HOST_SCOPE;
        Wire *wire = find(e->connection);
        const int side = !wire || wire->from == e->from ? 0 : 1;

        if (e->kind == NET_OPENED && !wire) {
                make(e);
                see(e, OBS_OPEN, NULL, NULL, 0);
        } else if (!wire)
                return;
        else if (e->kind == NET_QUEUED)
                note_queued(&wire->written[side], e);
        else if (e->kind == NET_WRITTEN)
                take(e, &wire->written[side], OBS_WRITE);
        else if (e->kind == NET_DELIVERED)
                take(e, &wire->read[side], OBS_DELIVER);
        else if (e->kind == NET_ENDED && !wire->ended[side])
                ended(wire, e, side);
}

void wire_watch_begin(void)
{
        wires = (Index){};
        net_tap(on_event, NULL);
}

void wire_watch_end(void)
{
        IndexCursor cursor = {};
        IndexItem *i;

        net_tap(NULL, NULL);
        while ((i = index_each(&wires, &cursor)))
                wire_free(CONTAINER_OF(i, Wire, by_number));
        index_clear(&wires);
}
