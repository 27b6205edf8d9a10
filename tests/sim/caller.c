/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/caller.h"

#include <utlist.h>

#include "client/state/message.h"
#include "sim/observation.h"

#define PATIENCE_USEC (25 * USEC_PER_SEC)

Callers *callers_new(Actor *a)
{
        Callers *s = world_alloc(sizeof *s);

        s->actor = a;
        return s;
}

static void take(Request *q)
{
        DL_DELETE(q->callers->requests, q);
        q->waiting = false;
        world_cancel(q->patience);
        q->patience = NULL;
}

static void on_patience(void *userdata)
{
        Request *q = userdata;

        q->patience = NULL;
        take(q);
        if (q->give_up)
                q->give_up(q);
}

void request_put(Request *q)
{
        Callers *s = q->callers;

        if (q->waiting)
                return;
        q->waiting = true;
        DL_APPEND(s->requests, q);
        world_call_at(world_now() + PATIENCE_USEC, on_patience, q, &q->patience);
        if (s->client && s->loaded)
                loop_wake(s->client->loop);
}

void request_cancel(Request *q)
{
        if (q->waiting)
                take(q);
}

/* In the process. */

static bool is_ready(Source *source)
{
        const Callers *s = CONTAINER_OF(source, Callers, source);

        return s->loaded && s->requests;
}

static void serve(Source *source)
{
        Callers *s = CONTAINER_OF(source, Callers, source);

        while (s->client && s->requests) {
                Request *q = s->requests;

                {
                        HOST_SCOPE;
                        take(q);
                }
                q->run(q, s->client);
        }
}

static const Callers *callers_of(const Client *c)
{
        for (unsigned i = 0; i < sim.n_actors; i++)
                if (sim.actors[i]->callers && sim.actors[i]->callers->client == c)
                        return sim.actors[i]->callers;
        assert(false);
        return NULL;
}

static void detach(Callers *s)
{
        s->client = NULL;
        s->loaded = false;
        s->waiters = NULL;
        source_remove(&s->source);
}

static void reclaim(Owned *o)
{
        detach(CONTAINER_OF(o, Callers, owned));
}

/* Nobody is told of the ack of a message whose program wants no reports. It must come all the same. */
static void on_ended(Message *m, bool durable)
{
        const Callers *s = callers_of(m->client);

        if (durable && m->record.quiet && m->record.state == DELIVERY_ACKED && !message_is_member(m))
                observe((Observation){.kind = OBS_END,
                                .process = s->actor->process,
                                .id = m->record.id,
                                .attempt = m->record.attempts,
                                .state = m->record.state,
                                .detail = !m->transient});
        s->ended(m, durable);
}

void callers_begin(Callers *s, Client *c)
{
        {
                HOST_SCOPE;
                s->client = c;
                s->ended = c->ended;
                c->ended = on_ended;
                source_add(&s->source, c->loop, is_ready, serve);
                owned_add(&s->owned, reclaim);
        }
        callers_load(s, c);
}

void callers_loaded(Callers *s)
{
        s->loaded = true;
        if (s->requests)
                loop_wake(s->client->loop);
}

void callers_end(Callers *s)
{
        HOST_SCOPE;

        owned_remove(&s->owned);
        detach(s);
}

void callers_client_ended(Callers *s)
{
        sendings_lose(s);
        programs_lose(s);
}

/* What the client tells its bus. */

static void on_message(Message *m, void *userdata)
{
}

static void on_saved(Message *m, void *userdata)
{
        waiters_check(userdata, m);
}

static void on_event(Message *m, MessageEvent event, uint32_t attempt, const char *detail, void *userdata)
{
        Callers *s = userdata;

        observe((Observation){.kind = OBS_MESSAGE_EVENT,
                        .process = s->actor->process,
                        .id = m->record.id,
                        .receiver = m->record.receiver,
                        .number = event,
                        .attempt = attempt,
                        .text = detail});
        if (!message_event_is_final(event))
                return;
        observe((Observation){.kind = OBS_END,
                        .process = s->actor->process,
                        .id = m->record.id,
                        .attempt = attempt,
                        .state = m->record.state,
                        .detail = !m->transient});
        caller_hears_of_end(s, m);
}

static void on_receiver(const ReceiverInfo *info, bool listed, void *userdata)
{
}

static void on_changed(void *userdata)
{
}

const ClientObserver callers_observer = {
                .message_added = on_message,
                .message_removed = on_message,
                .message_changed = on_message,
                .message_event = on_event,
                .message_saved = on_saved,
                .receiver_listed = on_receiver,
                .changed = on_changed,
};
