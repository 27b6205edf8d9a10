/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/engine/save.h"

#include "base/log.h"
#include "base/str-util.h"
#include "client/link/window.h"
#include "client/state/attempts.h"
#include "client/state/message.h"
#include "client/state/transient.h"

#define TRIM_EVERY 128u
#define QUIET_USEC (2 * USEC_PER_SEC)

typedef struct Save {
        OutboxSaveOp save;
        Message *message;
        SendWindow *old_window; /* of the binding that this save gives up */
        uint64_t old_sequence;
        bool binding;
} Save;

typedef struct Trim {
        OutboxTrimOp trim;
        Client *client;
} Trim;

static void trim(Client *c, bool thorough);

/* Other operations come between the steps of a long one. */
static void on_trimmed(DbOp *op, int r)
{
        Trim *t = CONTAINER_OF(CONTAINER_OF(op, OutboxTrimOp, op), Trim, trim);
        Client *c = t->client;

        if (r < 0)
                log_debug_errno(r, "Cannot trim the history");
        else if (t->trim.thorough && t->trim.more && !c->stopping)
                trim(c, true);
        free(t);
}

static void trim(Client *c, bool thorough)
{
        Trim *t = calloc(1, sizeof *t);

        if (!t)
                return;
        OutboxTrimOp *o = &t->trim;
        t->client = c;
        c->save.n_untrimmed = 0;
        outbox_trim_op_init(o);
        o->thorough = thorough;
        o->keep = c->config.history;
        o->keys_since_usec = now_usec(CLOCK_REALTIME) - KEYS_KEPT_USEC;
        o->op.done = on_trimmed;
        db_submit_lazily(c->db, &o->op);
}

/* After a while in which nothing has ended, the rest is trimmed too. */
static void on_quiet(void *userdata)
{
        Client *c = userdata;

        if (!c->save.untrimmed || c->stopping)
                return;
        const uint64_t due = usec_add(c->save.ended, QUIET_USEC);
        if (loop_now(c->loop, CLOCK_BOOTTIME) < due) {
                (void) timer_arm_at(&c->save.trim, due);
                return;
        }
        c->save.untrimmed = false;
        trim(c, true);
}

static void note_end(Client *c)
{
        c->save.ended = loop_now(c->loop, CLOCK_BOOTTIME);
        c->save.untrimmed = true;
        if (++c->save.n_untrimmed >= TRIM_EVERY && !c->stopping)
                trim(c, false);
        if (!timer_is_armed(&c->save.trim))
                (void) timer_arm_in(&c->save.trim, QUIET_USEC);
}

int saves_init(Client *c)
{
        return timer_init(&c->save.trim, c->loop, "trim", on_quiet, c);
}

static void save_again(RetryItem *i)
{
        message_save(CONTAINER_OF(i, Message, save.retry));
}

static void save_later(Message *m)
{
        retry_soon(&m->client->retries, &m->save.retry, save_again);
}

/* `state`: the state on disk now. */
static void take_effect(Message *m, DeliveryState state, bool was_binding)
{
        Client *c = m->client;

        const DeliveryState before = m->save.state;

        m->save.state = state;
        c->saved(m, before, was_binding);
        if (delivery_state_is_final(state) && !m->transient)
                note_end(c);
        c->observer.message_saved(m, c->observer.userdata);
}

static void on_saved(DbOp *op, int r)
{
        Save *s = CONTAINER_OF(CONTAINER_OF(op, OutboxSaveOp, op), Save, save);
        Message *m = s->message;
        Peer *emptied = NULL; /* its window was full */

        m->save.running = false;
        message_pin(m);
        if (r < 0) {
                log_error_errno(r, "Cannot write to the outbox, trying again");
                attempts_give_back(m, s->save.attempts);
                s->save.attempts = NULL;
                save_later(m);
        } else {
                if (s->old_window && s->old_window->peer->full)
                        emptied = s->old_window->peer;
                if (s->old_window)
                        window_settle(s->old_window, s->old_sequence);
                if (m->save.old_window == s->old_window && m->save.old_sequence == s->old_sequence)
                        m->save.old_window = NULL;
                take_effect(m, s->save.record.state, s->binding);
                if (m->save.again)
                        message_save(m);
        }
        outbox_attempts_free(s->save.attempts);
        free(s->save.record.error);
        slab_free(&m->client->slab, s, sizeof *s);
        if (emptied)
                m->client->link.room(emptied);
        message_unpin(m);
}

bool message_must_be_persisted(const Message *m)
{
        return m->transient && delivery_state_is_dead_letter(m->record.state);
}

typedef struct DeadLetter {
        OutboxInsertOp insert;
        Message *message;
} DeadLetter;

static void on_persisted(DbOp *op, int r)
{
        DeadLetter *d = CONTAINER_OF(CONTAINER_OF(op, OutboxInsertOp, op), DeadLetter, insert);
        Message *m = d->message;

        m->save.running = false;
        message_pin(m);
        if (r < 0) {
                log_error_errno(r, "Cannot put a dead letter into the outbox, trying again");
                save_later(m);
        } else {
                transient_leave(m);
                message_drop_payload(m);
                take_effect(m, m->record.state, false);
        }
        free(d);
        message_unpin(m);
}

static void persist_dead_letter(Message *m)
{
        DeadLetter *d = calloc(1, sizeof *d);

        if (!d) {
                save_later(m);
                return;
        }
        outbox_insert_op_init(&d->insert);
        d->message = m;
        d->insert.record = m->record; /* safe to share: a final message does not change meanwhile */
        d->insert.payload = m->payload;
        d->insert.op.done = on_persisted;
        m->save.running = true;
        m->save.again = false;
        db_submit(m->client->db, &d->insert.op);
}

static void submit(Message *m, Save *s)
{
        Client *c = m->client;

        /* The program that sent it in bulk already knows of the ack. If this write is lost, the client only
         * asks the receiver again. */
        bool lazily = m->record.quiet && !message_is_member(m) && m->bind.window &&
                      s->save.record.state == DELIVERY_ACKED;

        m->save.running = true;
        m->save.again = false;
        if (m->transient)
                transient_submit(c, &s->save.op);
        else if (lazily)
                db_submit_lazily(c->db, &s->save.op);
        else
                db_submit(c->db, &s->save.op);
}

void message_save(Message *m)
{
        if (m->client->stopping)
                return;
        if (m->save.running || retry_is_waiting(&m->save.retry)) {
                m->save.again = true;
                return;
        }
        if (message_must_be_persisted(m)) {
                persist_dead_letter(m);
                return;
        }
        Save *s = slab_zero(&m->client->slab, sizeof *s);
        if (!s) {
                save_later(m);
                return;
        }
        outbox_save_op_init(&s->save);
        s->message = m;
        s->old_window = m->save.old_window;
        s->old_sequence = m->save.old_sequence;
        s->binding = m->bind.pending;
        s->save.record = m->record;
        s->save.record.error = NULL;
        (void) str_replace(&s->save.record.error, m->record.error);
        /* The disk stores the states sent and backoff as bound. A new binding is bound when this write is
         * done. */
        if (m->bind.pending || m->record.state == DELIVERY_SENT || m->record.state == DELIVERY_BACKOFF)
                s->save.record.state = DELIVERY_BOUND;
        s->save.attempts = attempts_take(m);
        s->save.op.done = on_saved;
        submit(m, s);
}

void save_give_up_binding(Message *m, SendWindow *w, uint64_t sequence)
{
        m->save.old_window = w;
        m->save.old_sequence = sequence;
}
