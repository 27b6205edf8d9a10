/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* People who cancel messages, retry and purge dead letters, and drain receivers. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "client/engine/fanout.h"
#include "client/intake/drain.h"
#include "client/intake/lookup.h"
#include "client/intake/purge.h"
#include "client/state/message.h"
#include "sim/caller.h"

#define DRAIN_AGAIN_USEC (2 * USEC_PER_SEC)

typedef struct Call {
        Request request;
        ObservationKind kind;
        sd_id128_t id;  /* to be cancelled */
        unsigned limit; /* dead letters */
} Call;

/* Waits until the change is on disk. Lives in the process. */
typedef struct Waiter Waiter;
struct Waiter {
        ObservationKind kind;
        Message *message; /* pinned */
        Waiter *prev, *next;
};

static void see(const Callers *s, ObservationKind kind, sd_id128_t id, bool answer, int r)
{
        observe((Observation){.kind = kind,
                        .process = s->actor->process,
                        .id = id,
                        .number = (uint64_t) -r,
                        .detail = answer});
}

static bool wait_saved(Callers *s, Message *m, ObservationKind kind)
{
        Waiter *w = calloc(1, sizeof *w);

        if (!w)
                return false;
        w->kind = kind;
        w->message = m;
        message_pin(m);
        DL_APPEND(s->waiters, w);
        return true;
}

static void waiter_free(Callers *s, Waiter *w)
{
        Message *m = w->message;

        DL_DELETE(s->waiters, w);
        free(w);
        message_unpin(m);
}

void waiters_check(Callers *s, Message *m)
{
        Waiter *w, *next;

        if (!s->waiters || !message_is_synced(m))
                return;
        message_pin(m);
        DL_FOREACH_SAFE(s->waiters, w, next) {
                if (w->message != m)
                        continue;
                see(s, w->kind, m->record.id, true, 0);
                waiter_free(s, w);
        }
        message_unpin(m);
}

/* Like the calls of the bus: wait first, because a message in memory only is saved at once. */
static void change(Callers *s, Message *m, ObservationKind kind, int (*fn)(Message *m))
{
        const sd_id128_t id = m->record.id;
        int r;

        if (!wait_saved(s, m, kind))
                return;
        see(s, kind, id, false, 0);
        r = fn(m);
        if (r >= 0)
                return;
        see(s, kind, id, true, r);
        for (Waiter *w = s->waiters; w; w = w->next)
                if (w->message == m && w->kind == kind && !w->next)
                        return waiter_free(s, w);
}

typedef struct Purging {
        Callers *callers;
        sd_id128_t id;
} Purging;

static void on_purged(int r, void *userdata)
{
        Purging *p = userdata;

        see(p->callers, OBS_PURGE, p->id, true, r);
        free(p);
}

static void purge(Callers *s, Message *m)
{
        Purging *p = malloc(sizeof *p);
        int r;

        if (!p)
                return;
        *p = (Purging){s, m->record.id};
        see(s, OBS_PURGE, p->id, false, 0);
        r = message_purge(m, on_purged, p);
        if (r < 0)
                on_purged(r, p);
}

static void on_cancel(Message *m, int r, void *userdata)
{
        if (m)
                change(userdata, m, OBS_CANCEL, message_cancel);
}

static void on_revive(Message *m, int r, void *userdata)
{
        if (m)
                change(userdata, m, OBS_REVIVE, message_revive);
}

static void on_purge(Message *m, int r, void *userdata)
{
        if (m)
                purge(userdata, m);
}

static void look_up(Client *c, sd_id128_t id, void (*done)(Message *m, int r, void *userdata), Callers *s)
{
        char text[SD_ID128_UUID_STRING_MAX];

        message_look_up(c, sd_id128_to_uuid_string(id, text), done, s);
}

static void run_cancel(Request *q, Client *c)
{
        look_up(c, CONTAINER_OF(q, Call, request)->id, on_cancel, q->callers);
}

/* Dead letters. */

typedef struct Search {
        OutboxFindOp find;
        Callers *callers;
        Client *client;
        ObservationKind kind;
} Search;

static void on_found(DbOp *op, int r)
{
        Search *s = CONTAINER_OF(CONTAINER_OF(op, OutboxFindOp, op), Search, find);

        for (size_t i = 0; r >= 0 && i < s->find.n_records && !s->client->stopping; i++)
                look_up(s->client, s->find.records[i].id, s->kind == OBS_REVIVE ? on_revive : on_purge,
                                s->callers);
        outbox_records_free(s->find.records, s->find.n_records);
        free(s);
}

static void run_search(Request *q, Client *c)
{
        const Call *call = CONTAINER_OF(q, Call, request);
        Search *s = calloc(1, sizeof *s);

        if (!s)
                return;
        outbox_find_op_init(&s->find, OUTBOX_NEWEST, call->limit);
        s->find.number = UINT64_MAX;
        s->find.states = (1u << DELIVERY_REJECTED) | (1u << DELIVERY_DEAD);
        s->find.op.done = on_found;
        s->callers = q->callers;
        s->client = c;
        s->kind = call->kind;
        db_submit(c->db, &s->find.op);
}

static void put(Callers *s, Call c)
{
        HOST_SCOPE;
        Call *call = world_alloc(sizeof *call);

        *call = c;
        call->request.callers = s;
        request_put(&call->request);
}

static void call_put(const Step *step, ObservationKind kind, void (*run)(Request *q, Client *c))
{
        Actor *client = actor_of_client(step->a);
        const sd_id128_t id = kind == OBS_CANCEL ? sending_id(step->b) : SD_ID128_NULL;

        if (client && (kind != OBS_CANCEL || !sd_id128_is_null(id)))
                put(client->callers,
                                (Call){.request = {.run = run}, .kind = kind, .id = id, .limit = step->b});
}

static void run_revive(Request *q, Client *c)
{
        look_up(c, CONTAINER_OF(q, Call, request)->id, on_revive, q->callers);
}

void caller_insist(const Step *step)
{
        Actor *client = actor_of_client(step->a);

        if (client)
                client->callers->n_insist += step->b;
}

void caller_hears_of_end(Callers *s, const Message *m)
{
        if (s->n_insist == 0 || !delivery_state_is_dead_letter(m->record.state))
                return;
        s->n_insist--;
        put(s, (Call){.request = {.run = run_revive}, .id = m->record.id});
}

void caller_cancel(const Step *step)
{
        call_put(step, OBS_CANCEL, run_cancel);
}

void caller_revive(const Step *step)
{
        call_put(step, OBS_REVIVE, run_search);
}

void caller_purge(const Step *step)
{
        call_put(step, OBS_PURGE, run_search);
}

/* The administrator. */

typedef struct Drain {
        Request request;
        char receiver[PROCESS_NAME_MAX];
        bool wanted; /* to drain */
        bool pending, used;
} Drain;

static Drain drains[RECEIVERS_MAX];

void drains_begin(void)
{
        memset(drains, 0, sizeof drains);
}

static void ask(void *userdata);

/* A new request may overtake an old one, which then has the last word: ask once more. */
static void answered(Drain *d, bool drain, int status)
{
        if (status != 204)
                return;
        if (drain == d->wanted)
                d->pending = false;
        else if (!d->pending) {
                d->pending = true;
                world_call_at(world_now() + DRAIN_AGAIN_USEC, ask, d, NULL);
        }
}

static void on_drained(int status, const char *problem, void *userdata)
{
        answered(userdata, true, status);
}

static void on_resumed(int status, const char *problem, void *userdata)
{
        answered(userdata, false, status);
}

static void run_drain(Request *q, Client *c)
{
        Drain *d = CONTAINER_OF(q, Drain, request);

        (void) client_drain(c, d->receiver, d->wanted, d->wanted ? on_drained : on_resumed, d);
}

static void ask(void *userdata)
{
        Drain *d = userdata;

        request_cancel(&d->request);
        if (!d->pending || sim.over)
                return;
        d->request.run = run_drain;
        d->request.callers = actor_of_client((unsigned) world_random(sim.plan->n_clients))->callers;
        request_put(&d->request);
        world_call_at(world_now() + DRAIN_AGAIN_USEC, ask, d, NULL);
}

void caller_drain(unsigned receiver, bool drain)
{
        Drain *d = drains + receiver;
        const bool was_pending = d->pending;

        d->used = d->pending = true;
        d->wanted = drain;
        (void) snprintf(d->receiver, sizeof d->receiver, "r%u", receiver);
        if (!was_pending)
                ask(d);
}

/* Discovery may have lost the last word in a crash. */
void drains_resume_all(void)
{
        for (unsigned i = 0; i < sim.plan->n_receivers; i++)
                if (drains[i].used)
                        caller_drain(i, false);
}
