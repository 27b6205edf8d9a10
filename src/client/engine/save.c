/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/engine/save.h"

#include <utlist.h>

#include "base/log.h"
#include "base/str-util.h"
#include "client/engine/deliver.h"
#include "client/engine/fanout.h"
#include "client/engine/queue.h"
#include "client/link/window.h"
#include "client/state/attempts.h"
#include "client/state/message.h"
#include "client/state/transient.h"

#define RETRY_USEC USEC_PER_SEC
#define TRIM_EVERY 128u

typedef struct Save {
        OutboxSaveOp save;
        Message *message;
        Ledger *old_ledger; /* a binding that this save gives up */
        uint64_t old_sequence;
        bool binding;
} Save;

static void on_trimmed(DbOp *op, int r)
{
        if (r < 0)
                log_debug_errno(r, "Cannot trim the history");
        free(CONTAINER_OF(op, OutboxTrimOp, op));
}

static void trim(Client *c)
{
        if (++c->untrimmed < TRIM_EVERY || c->stopping)
                return;
        OutboxTrimOp *o = calloc(1, sizeof *o);
        if (!o)
                return;
        c->untrimmed = 0;
        outbox_trim_op_init(o);
        o->keep = c->config.history;
        o->keys_since_usec = now_usec(CLOCK_REALTIME) - KEYS_KEPT_USEC;
        o->op.done = on_trimmed;
        db_submit_lazily(c->db, &o->op);
}

void saves_again_soon(Client *c)
{
        if (!timer_is_armed(&c->unsaved_timer))
                (void) timer_arm_in(&c->unsaved_timer, RETRY_USEC);
}

static void defer(Message *m)
{
        Client *c = m->client;

        if (!m->unsaved) {
                m->unsaved = true;
                DL_APPEND2(c->unsaved, m, unsaved_prev, unsaved_next);
        }
        saves_again_soon(c);
}

static void take_effect(const Save *s)
{
        Message *m = s->message;
        Client *c = m->client;

        if (s->old_ledger) {
                ledger_settle(s->old_ledger, s->old_sequence);
                if (m->old_ledger == s->old_ledger && m->old_sequence == s->old_sequence)
                        m->old_ledger = NULL;
        }
        if (s->binding && m->binding) {
                m->binding = false;
                deliver_event(m, DELIVERY_BIND, NULL);
                peer_pump(m->peer);
        }
        if (delivery_state_is_final(s->save.record.state)) {
                deliver_settled(m);
                if (!m->memory)
                        trim(c);
        }
        c->observer.message_saved(m, c->observer.userdata);
}

static void on_saved(DbOp *op, int r)
{
        Save *s = CONTAINER_OF(CONTAINER_OF(op, OutboxSaveOp, op), Save, save);
        Message *m = s->message;

        m->saving = false;
        message_pin(m);
        if (r < 0) {
                log_error_errno(r, "Cannot write to the outbox, trying again");
                trace_give_back(m, s->save.attempts);
                s->save.attempts = NULL;
                defer(m);
        } else {
                take_effect(s);
                if (m->save_again)
                        message_save(m);
        }
        outbox_attempts_free(s->save.attempts);
        free(s->save.record.error);
        slab_free(&m->client->slab, s, sizeof *s);
        message_unpin(m);
}

bool message_must_be_buried(const Message *m)
{
        return m->memory && (m->record.state == DELIVERY_DEAD || m->record.state == DELIVERY_REJECTED);
}

typedef struct Burial {
        OutboxInsertOp insert;
        Message *message;
} Burial;

static void on_buried(DbOp *op, int r)
{
        Burial *b = CONTAINER_OF(CONTAINER_OF(op, OutboxInsertOp, op), Burial, insert);
        Message *m = b->message;

        m->saving = false;
        message_pin(m);
        if (r < 0) {
                log_error_errno(r, "Cannot put a dead letter into the outbox, trying again");
                defer(m);
        } else {
                const Save done = {.message = m, .save.record.state = m->record.state};
                memory_left(m);
                message_drop_payload(m);
                take_effect(&done);
        }
        free(b);
        message_unpin(m);
}

static void bury(Message *m)
{
        Burial *b = calloc(1, sizeof *b);

        if (!b) {
                defer(m);
                return;
        }
        outbox_insert_op_init(&b->insert);
        b->message = m;
        b->insert.record = m->record; /* of a message at its end nothing changes meanwhile */
        b->insert.payload = m->payload;
        b->insert.op.done = on_buried;
        m->saving = true;
        m->save_again = false;
        db_submit(m->client->db, &b->insert.op);
}

void message_save(Message *m)
{
        Save *s = NULL;

        if (m->client->stopping)
                return;
        if (m->saving || m->unsaved) {
                m->save_again = true;
                return;
        }
        if (message_must_be_buried(m)) {
                bury(m);
                return;
        }
        s = slab_zero(&m->client->slab, sizeof *s);
        if (!s) {
                defer(m);
                return;
        }
        outbox_save_op_init(&s->save);
        s->message = m;
        s->old_ledger = m->old_ledger;
        s->old_sequence = m->old_sequence;
        s->binding = m->binding;
        s->save.record = m->record;
        s->save.record.error = NULL;
        (void) str_replace(&s->save.record.error, m->record.error);
        /* What is not on disk is bound there; a binding is bound as soon as this is written. */
        if (m->binding || m->record.state == DELIVERY_SENT || m->record.state == DELIVERY_BACKOFF)
                s->save.record.state = DELIVERY_BOUND;
        s->save.attempts = trace_take(m);
        s->save.op.done = on_saved;
        m->saving = true;
        m->save_again = false;
        /* Who waits for an ack in bulk has heard of it: losing this only means asking the receiver again. */
        if (m->memory)
                memory_submit(m, &s->save.op);
        else if (m->quiet && m->ledger && s->save.record.state == DELIVERY_ACKED)
                db_submit_lazily(m->client->db, &s->save.op);
        else
                db_submit(m->client->db, &s->save.op);
}

void saves_on_timer(void *userdata)
{
        Client *c = userdata;
        Message *m, *next, *all = c->unsaved;

        c->unsaved = NULL;
        DL_FOREACH_SAFE2(all, m, next, unsaved_next)
        {
                m->unsaved = false;
                message_save(m);
        }
        queues_read_again(c);
        wholes_read_again(c);
}
