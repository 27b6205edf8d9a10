/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/client-save.h"

#include <utlist.h>

#include "base/log.h"
#include "base/str-util.h"
#include "client/client-deliver.h"
#include "client/client-ledger.h"
#include "client/client-message.h"

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
        o->keep = c->history;
        o->op.done = on_trimmed;
        db_submit(c->db, &o->op);
}

static void defer(Message *m)
{
        Client *c = m->client;

        if (!m->unsaved) {
                m->unsaved = true;
                DL_APPEND2(c->unsaved, m, unsaved_prev, unsaved_next);
        }
        if (!timer_is_armed(&c->unsaved_timer))
                (void) timer_arm_in(&c->unsaved_timer, RETRY_USEC);
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
                defer(m);
        } else {
                take_effect(s);
                if (m->save_again)
                        message_save(m);
        }
        free(s->save.record.error);
        free(s);
        message_unpin(m);
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
        s = calloc(1, sizeof *s);
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
        if (m->binding || m->record.state == DELIVERY_SENT || m->record.state == DELIVERY_WAITING)
                s->save.record.state = DELIVERY_BOUND;
        s->save.op.done = on_saved;
        m->saving = true;
        m->save_again = false;
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
}
