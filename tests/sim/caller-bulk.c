/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Programs that send in bulk. They write in bursts, stop reading for a while, and vanish; after the end of
 * their socket they come back and repeat what was not accepted, if it has an idempotency key. */

#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "client/intake/bulk.h"
#include "sim/caller.h"

#define OPENS_MAX      20u
#define BURST_MAX      32u
#define REPEATS_MAX    20u
#define TICK_MAX_USEC  (50 * USEC_PER_MSEC)
#define PAUSE_MAX_USEC (3 * USEC_PER_SEC)
/* One in so many ticks, while it writes. */
#define VANISH_ONE_IN 150u
#define STALL_ONE_IN  60u

typedef enum ItemState {
        ITEM_NEW,
        ITEM_WRITTEN,
        ITEM_ACCEPTED,
        ITEM_OVER, /* refused for good, or lost */
} ItemState;

typedef struct Item {
        ItemState state;
        unsigned repeats;
        sd_id128_t id;
} Item;

typedef struct Program Program;
struct Program {
        Request request;
        Actor *client;
        const Step *step;
        bool settlements, signals;
        Item *items;
        unsigned n_items, n_opens;
        TestSocket *socket; /* NULL: not open */
        unsigned *written;  /* items by number of the submission on this socket */
        unsigned n_written, n_allocated;
        bool stalled, shut;
        WorldCall *tick;
        Program *prev, *next;
};

static void see(const Program *p, unsigned i, Observation o)
{
        o.process = p->client->process;
        o.message = p->step->message.number + i;
        observe(o);
}

static void on_tick(void *userdata);

static void tick_in(Program *p, uint64_t usec)
{
        world_cancel(p->tick);
        p->tick = NULL;
        world_call_at(world_now() + usec, on_tick, p, &p->tick);
}

static bool has_new(const Program *p)
{
        for (unsigned i = 0; i < p->n_items; i++)
                if (p->items[i].state == ITEM_NEW)
                        return true;
        return false;
}

static void on_reopen(void *userdata)
{
        Program *p = userdata;

        if (p->n_opens < OPENS_MAX)
                request_put(&p->request);
}

/* Its socket has ended: what was not accepted is lost, or comes again. */
static void end(Program *p)
{
        const bool keyed = p->step->message.idempotency > 0;

        DL_DELETE(p->client->callers->programs, p);
        p->socket = NULL;
        world_cancel(p->tick);
        p->tick = NULL;
        for (unsigned i = 0; i < p->n_items; i++) {
                Item *item = p->items + i;

                if (item->state != ITEM_WRITTEN)
                        continue;
                see(p, i, (Observation){.kind = OBS_LOSE_CALLER});
                item->state = keyed && item->repeats++ < REPEATS_MAX ? ITEM_NEW : ITEM_OVER;
        }
        if (has_new(p) && p->n_opens < OPENS_MAX)
                world_call_at(world_now() + world_random(PAUSE_MAX_USEC), on_reopen, p, NULL);
}

/* Writing. */

static void remember(Program *p, unsigned i)
{
        if (p->n_written == p->n_allocated) {
                unsigned *old = p->written;

                p->n_allocated = MAX(2 * p->n_allocated, 64u);
                p->written = world_alloc(p->n_allocated * sizeof *p->written);
                if (old)
                        memcpy(p->written, old, p->n_written * sizeof *old);
        }
        p->written[p->n_written++] = i;
}

static void put_attribute(Buffer *to, uint8_t tag, const char *text)
{
        const size_t n = strlen(text);
        const uint8_t head[] = {tag, 0, (uint8_t) n};

        assert(buffer_append(to, head, sizeof head) >= 0 && buffer_append(to, text, n) >= 0);
}

static void write_item(Program *p, unsigned i)
{
        const PlannedMessage m = bulk_message(p->step, i);
        Buffer attributes = {}, out = {};
        char key[KEY_TEXT_MAX];

        if (m.mode == SELECTOR_KEY)
                put_attribute(&attributes, ATTRIBUTE_KEY, ordering_key(m.key, key));
        if (m.idempotency > 0)
                put_attribute(&attributes, ATTRIBUTE_IDEMPOTENCY_KEY,
                                idempotency_key(p->client, m.idempotency, key));
        const Frame f = {.type = FRAME_SUBMIT,
                        .submit = {{buffer_peek(&attributes), buffer_size(&attributes)}, payload_make(&m)}};
        assert(frame_encode(&out, &f) >= 0);
        p->items[i].state = ITEM_WRITTEN;
        remember(p, i);
        see(p, i, (Observation){.kind = OBS_SUBMIT});
        world_send(p->socket, buffer_peek(&out), buffer_size(&out));
        buffer_clear(&attributes);
        buffer_clear(&out);
}

/* Reading. */

static Item *item_of(Program *p, uint64_t number, unsigned *ret)
{
        if (number < 1 || number > p->n_written)
                return NULL;
        *ret = p->written[number - 1];
        return p->items + *ret;
}

static void take_accepted(Program *p, const AcceptedFrame *f)
{
        for (size_t k = 0; k < f->ids.size / sizeof(sd_id128_t); k++) {
                unsigned i;
                Item *item = item_of(p, f->first + k, &i);

                if (!item)
                        continue;
                item->state = ITEM_ACCEPTED;
                memcpy(&item->id, f->ids.data + k * sizeof item->id, sizeof item->id);
                sending_note(p->step->message.number + i, item->id);
                see(p, i, (Observation){.kind = OBS_ACCEPT, .id = item->id});
        }
}

static void take_refused(Program *p, const RefusedFrame *f)
{
        static const char *const again[] = {"NoSuchReceiver", "OutboxFull", "AmbiguousReceiver"};
        char reason[32];
        unsigned i;
        Item *item = item_of(p, f->number, &i);

        if (!item)
                return;
        (void) snprintf(reason, sizeof reason, "%.*s", (int) f->reason.size, (const char *) f->reason.data);
        see(p, i, (Observation){.kind = OBS_REFUSE, .text = reason});
        item->state = ITEM_OVER;
        for (size_t k = 0; k < ELEMENTSOF(again); k++)
                if (strcmp(reason, again[k]) == 0 && item->repeats++ < REPEATS_MAX)
                        item->state = ITEM_NEW;
        if (item->state == ITEM_NEW)
                p->stalled = true; /* it waits a little before it repeats */
}

static void take_settlement(Program *p, const SettlementFrame *f)
{
        static const DeliveryState states[_SETTLEMENT_MAX] = {
                        [SETTLEMENT_ACKED] = DELIVERY_ACKED,
                        [SETTLEMENT_REJECTED] = DELIVERY_REJECTED,
                        [SETTLEMENT_CANCELLED] = DELIVERY_CANCELLED,
                        [SETTLEMENT_DEAD] = DELIVERY_DEAD,
        };
        unsigned i;
        Item *item = item_of(p, f->number, &i);

        if (item)
                see(p, i,
                                (Observation){.kind = OBS_END,
                                                .id = item->id,
                                                .attempt = f->attempts,
                                                .state = states[f->end],
                                                .detail = f->end != SETTLEMENT_ACKED,
                                                .flagged = true});
}

static void read_frames(Program *p)
{
        Buffer *in = world_received(p->socket);
        Error error = {};
        ssize_t n;
        Frame f;

        while ((n = frame_decode(buffer_peek(in), buffer_size(in), FRAME_BODY_MAX, &f, NULL, &error)) > 0) {
                if (f.type == FRAME_ACCEPTED)
                        take_accepted(p, &f.accepted);
                else if (f.type == FRAME_REFUSED)
                        take_refused(p, &f.refused);
                else if (f.type == FRAME_SETTLEMENT)
                        take_settlement(p, &f.settlement);
                buffer_consume(in, (size_t) n);
        }
        assert(n == 0);
}

/* A tick of its time. */

static void write_some(Program *p)
{
        uint64_t n = world_random(BURST_MAX) + 1;

        for (unsigned i = 0; i < p->n_items && n > 0; i++)
                if (p->items[i].state == ITEM_NEW) {
                        write_item(p, i);
                        n--;
                }
}

static bool has_written(const Program *p)
{
        for (unsigned i = 0; i < p->n_items; i++)
                if (p->items[i].state == ITEM_WRITTEN)
                        return true;
        return false;
}

static void finish(Program *p)
{
        if (!p->shut && !has_written(p))
                world_shutdown(p->socket);
        p->shut |= !has_written(p);
        tick_in(p, world_random_between(TICK_MAX_USEC, 5 * TICK_MAX_USEC));
}

static void on_tick(void *userdata)
{
        Program *p = userdata;

        p->tick = NULL;
        read_frames(p);
        if (world_is_closed(p->socket)) {
                end(p);
                return;
        }
        if (p->stalled) {
                p->stalled = false;
                world_stall(p->socket, false);
                tick_in(p, world_random(PAUSE_MAX_USEC));
                return;
        }
        if (!has_new(p)) {
                finish(p);
                return;
        }
        write_some(p);
        if (world_random(VANISH_ONE_IN) == 0) {
                world_close(p->socket, 0);
                end(p);
                return;
        }
        if (world_random(STALL_ONE_IN) == 0) {
                p->stalled = true;
                world_stall(p->socket, true);
                tick_in(p, world_random(PAUSE_MAX_USEC));
                return;
        }
        tick_in(p, world_random(TICK_MAX_USEC) + 1);
}

/* In the process. */
static void run(Request *q, Client *c)
{
        Program *p = CONTAINER_OF(q, Program, request);
        const PlannedMessage *m = &p->step->message;
        BulkOptions options = {.settlements = p->settlements, .signals = p->signals};
        Error error = {};
        int fd;

        submission_fill(&options.submission, p->client, m);
        if (m->deadline_usec > 0)
                options.submission.policy.deadline_usec =
                                loop_now(c->loop, CLOCK_REALTIME) + m->deadline_usec;
        options.submission.key = options.submission.idempotency_key = NULL;
        p->n_opens++;
        fd = world_socket(&p->socket);
        if (bulk_open(c, fd, &options, &error) < 0) {
                HOST_SCOPE;

                connection_refuse(fd, "", 0);
                p->socket = NULL;
                world_call_at(world_now() + USEC_PER_SEC, on_reopen, p, NULL);
                return;
        }
        HOST_SCOPE;
        p->n_written = 0;
        p->stalled = p->shut = false;
        DL_APPEND(p->client->callers->programs, p);
        tick_in(p, world_random(TICK_MAX_USEC));
}

static void give_up(Request *q)
{
        Program *p = CONTAINER_OF(q, Program, request);

        for (unsigned i = 0; i < p->n_items; i++)
                if (p->items[i].state == ITEM_NEW) {
                        see(p, i, (Observation){.kind = OBS_LOSE_CALLER});
                        p->items[i].state = ITEM_OVER;
                }
}

void caller_bulk(const Step *step)
{
        Actor *client = actor_of_client(step->a);
        Program *p;

        if (!client)
                return;
        p = world_alloc(sizeof *p);
        *p = (Program){
                        .request = {.run = run, .give_up = give_up, .callers = client->callers},
                        .client = client,
                        .step = step,
                        .settlements = world_random(4) > 0,
                        .items = world_alloc(step->b * sizeof *p->items),
                        .n_items = step->b,
        };
        p->signals = world_random(4) == 0;
        request_put(&p->request);
}

/* They read what the client had written before it ended. */
void programs_lose(Callers *s)
{
        Program *p, *next;

        DL_FOREACH_SAFE(s->programs, p, next) {
                read_frames(p);
                end(p);
        }
}
