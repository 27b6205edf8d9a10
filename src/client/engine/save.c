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
        SendWindow *old_ledger; /* a binding that this save gives up */
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
        if (++c->save.n_untrimmed < TRIM_EVERY || c->stopping)
                return;
        OutboxTrimOp *o = calloc(1, sizeof *o);
        if (!o)
                return;
        c->save.n_untrimmed = 0;
        outbox_trim_op_init(o);
        o->keep = c->config.history;
        o->keys_since_usec = now_usec(CLOCK_REALTIME) - KEYS_KEPT_USEC;
        o->op.done = on_trimmed;
        db_submit_lazily(c->db, &o->op);
}

void saves_again_soon(Client *c)
{
        if (!timer_is_armed(&c->save.timer))
                (void) timer_arm_in(&c->save.timer, RETRY_USEC);
}

static void defer(Message *m)
{
        Client *c = m->client;

        if (!m->save.refused) {
                m->save.refused = true;
                DL_APPEND2(c->save.refused, m, save.prev, save.next);
        }
        saves_again_soon(c);
}

static void take_effect(const Save *s)
{
        Message *m = s->message;
        Client *c = m->client;

        if (s->old_ledger) {
                window_settle(s->old_ledger, s->old_sequence);
                if (m->save.old_window == s->old_ledger && m->save.old_sequence == s->old_sequence)
                        m->save.old_window = NULL;
        }
        if (s->binding && m->bind.pending) {
                m->bind.pending = false;
                deliver_event(m, DELIVERY_BIND, NULL);
                peer_pump(m->link.peer);
        }
        if (delivery_state_is_final(s->save.record.state)) {
                deliver_settled(m);
                if (!m->transient)
                        trim(c);
        }
        c->observer.message_saved(m, c->observer.userdata);
}

static void on_saved(DbOp *op, int r)
{
        Save *s = CONTAINER_OF(CONTAINER_OF(op, OutboxSaveOp, op), Save, save);
        Message *m = s->message;

        m->save.running = false;
        message_pin(m);
        if (r < 0) {
                log_error_errno(r, "Cannot write to the outbox, trying again");
                attempts_give_back(m, s->save.attempts);
                s->save.attempts = NULL;
                defer(m);
        } else {
                take_effect(s);
                if (m->save.again)
                        message_save(m);
        }
        outbox_attempts_free(s->save.attempts);
        free(s->save.record.error);
        slab_free(&m->client->slab, s, sizeof *s);
        message_unpin(m);
}

bool message_must_be_persisted(const Message *m)
{
        return m->transient && (m->record.state == DELIVERY_DEAD || m->record.state == DELIVERY_REJECTED);
}

typedef struct DeadLetter {
        OutboxInsertOp insert;
        Message *message;
} DeadLetter;

static void on_persisted(DbOp *op, int r)
{
        DeadLetter *b = CONTAINER_OF(CONTAINER_OF(op, OutboxInsertOp, op), DeadLetter, insert);
        Message *m = b->message;

        m->save.running = false;
        message_pin(m);
        if (r < 0) {
                log_error_errno(r, "Cannot put a dead letter into the outbox, trying again");
                defer(m);
        } else {
                const Save done = {.message = m, .save.record.state = m->record.state};
                transient_leave(m);
                message_drop_payload(m);
                take_effect(&done);
        }
        free(b);
        message_unpin(m);
}

static void persist_dead_letter(Message *m)
{
        DeadLetter *b = calloc(1, sizeof *b);

        if (!b) {
                defer(m);
                return;
        }
        outbox_insert_op_init(&b->insert);
        b->message = m;
        b->insert.record = m->record; /* of a message at its end nothing changes meanwhile */
        b->insert.payload = m->payload;
        b->insert.op.done = on_persisted;
        m->save.running = true;
        m->save.again = false;
        db_submit(m->client->db, &b->insert.op);
}

void message_save(Message *m)
{
        Save *s = NULL;

        if (m->client->stopping)
                return;
        if (m->save.running || m->save.refused) {
                m->save.again = true;
                return;
        }
        if (message_must_be_persisted(m)) {
                persist_dead_letter(m);
                return;
        }
        s = slab_zero(&m->client->slab, sizeof *s);
        if (!s) {
                defer(m);
                return;
        }
        outbox_save_op_init(&s->save);
        s->message = m;
        s->old_ledger = m->save.old_window;
        s->old_sequence = m->save.old_sequence;
        s->binding = m->bind.pending;
        s->save.record = m->record;
        s->save.record.error = NULL;
        (void) str_replace(&s->save.record.error, m->record.error);
        /* What is not on disk is bound there; a binding is bound as soon as this is written. */
        if (m->bind.pending || m->record.state == DELIVERY_SENT || m->record.state == DELIVERY_BACKOFF)
                s->save.record.state = DELIVERY_BOUND;
        s->save.attempts = attempts_take(m);
        s->save.op.done = on_saved;
        m->save.running = true;
        m->save.again = false;
        /* Who waits for an ack in bulk has heard of it: losing this only means asking the receiver again. */
        if (m->transient)
                transient_submit(m, &s->save.op);
        else if (m->quiet && m->bind.window && s->save.record.state == DELIVERY_ACKED)
                db_submit_lazily(m->client->db, &s->save.op);
        else
                db_submit(m->client->db, &s->save.op);
}

void saves_on_timer(void *userdata)
{
        Client *c = userdata;
        Message *m, *next, *all = c->save.refused;

        c->save.refused = NULL;
        DL_FOREACH_SAFE2(all, m, next, save.next)
        {
                m->save.refused = false;
                message_save(m);
        }
        queues_read_again(c);
        fanouts_read_again(c);
}
