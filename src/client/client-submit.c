/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/client-submit.h"

#include <errno.h>
#include <inttypes.h>

#include "base/log.h"
#include "base/str-util.h"
#include "client/client-deliver.h"
#include "client/client-ledger.h"
#include "client/client-message.h"
#include "client/client-queue.h"
#include "model/name.h"

typedef struct Insert {
        OutboxInsertOp insert;
        Message *message;
        SubmitDone done;
        void *userdata;
} Insert;

/* Nothing of it left: the sequence that it had is as good as settled. */
static void take_back(Message *m)
{
        Client *c = m->client;

        if (m->ledger)
                ledger_settle(m->ledger, m->record.sequence);
        m->ledger = NULL;
        if (m->peer)
                peer_unbind(m->peer, m);
        c->n_open--;
        message_release(m);
}

static void on_inserted(DbOp *op, int r)
{
        Insert *i = CONTAINER_OF(CONTAINER_OF(op, OutboxInsertOp, op), Insert, insert);
        Message *m = i->message;
        Client *c = m->client;

        m->saving = false;
        if (r < 0) {
                i->done(NULL, r, i->userdata);
                take_back(m);
                free(i);
                return;
        }
        message_pin(m);
        message_announce(m);
        c->observer.message_event(m, "accepted", 1, "", c->observer.userdata);
        i->done(m, 0, i->userdata);
        free(i);
        if (m->binding) {
                Peer *p = m->peer;
                m->binding = false;
                deliver_event(m, DELIVERY_BIND, NULL);
                peer_pump(p);
        } else {
                queue_add(m->queue, m);
                deliver_queue(m->queue);
        }
        message_spare_payload(m);
        message_unpin(m);
}

static int resolve(Client *c, const Submission *s, Selector *ret, Error *error)
{
        Peer *p;
        int r;

        if (s->size > c->max_payload)
                return error_set(error, -EMSGSIZE,
                                "%zu bytes are more than the %" PRIu64 " that MaxPayload= allows", s->size,
                                c->max_payload);
        if (c->n_open >= c->outbox_limit)
                return error_set(error, -EDQUOT, "%" PRIu64 " messages are waiting already (OutboxLimit=)",
                                c->n_open);
        if (s->mode == SELECTOR_TO) {
                r = peer_find_by_word(c, s->target, &p);
                if (r == -ENOENT)
                        return error_set(error, r, "No receiver \"%s\" is known", s->target);
                if (r == -ENOTUNIQ)
                        return error_set(error, r,
                                        "Several receivers are called \"%s\": use the whole name or the id",
                                        s->target);
                if (s->n_labels > 0)
                        return error_set(error, -EINVAL, "label: only for mode \"any\"");
                ret->receiver = p->info.id;
                return 0;
        }
        if (s->target[0] != '\0' && !name_is_valid(s->target))
                return error_set(error, -EINVAL, "\"%s\" is not the name of a group", s->target);
        strcpy(ret->group, s->target);
        ret->plain = s->plain;
        for (size_t i = 0; i < s->n_labels; i++) {
                r = selector_add_label(ret, s->labels + i);
                if (r < 0)
                        return error_set(error, r == -E2BIG ? -EINVAL : r, "label: at most %u", LABELS_MAX);
        }
        return 0;
}

static int make_message(Client *c, const Submission *s, const Selector *selector, Message **ret)
{
        OutboxRecord record = {
                        .number = c->last_number + 1,
                        .size = s->size,
                        .accepted_usec = now_usec(CLOCK_REALTIME),
                        .state = DELIVERY_QUEUED,
                        .queue = selector_format(selector),
        };
        void *payload = malloc(s->size + 1);
        int r = -ENOMEM;

        if (payload && record.queue && str_replace(&record.target, s->target) >= 0)
                r = sd_id128_randomize(&record.id);
        if (r >= 0)
                r = message_new(c, &record, ret);
        if (r < 0) {
                outbox_record_clear(&record);
                free(payload);
                return r;
        }
        if (s->size > 0)
                memcpy(payload, s->payload, s->size);
        (*ret)->payload = payload;
        c->last_number++;
        c->n_open++;
        return 0;
}

int client_submit(Client *c, const Submission *submission, SubmitDone done, void *userdata, Error *error)
{
        Selector selector = {.mode = submission->mode};
        Message *m;
        Insert *i;
        int r;

        if (c->stopping)
                return error_set(error, -ESHUTDOWN, "the client is stopping");
        r = resolve(c, submission, &selector, error);
        i = r >= 0 ? calloc(1, sizeof *i) : NULL;
        if (r >= 0)
                r = i ? make_message(c, submission, &selector, &m) : -ENOMEM;
        selector_clear(&selector);
        if (r < 0) {
                free(i);
                return r;
        }

        /* Where the receiver is clear the message is bound in the same commit, unless older ones wait for
         * it. */
        Queue *q = m->queue;
        Peer *p = q->waiting || q->n_stored > 0 ? NULL : deliver_choose(c, &q->selector);
        if (p)
                (void) deliver_bind(m, p); /* without room it is queued */
        if (q->selector.mode == SELECTOR_ANY && q->n_messages == 1)
                deliver_connect(q);
        outbox_insert_op_init(&i->insert);
        i->insert.record = m->record;
        i->insert.record.state = m->binding ? DELIVERY_BOUND : DELIVERY_QUEUED;
        i->insert.payload = m->payload;
        i->insert.op.done = on_inserted;
        i->message = m, i->done = done, i->userdata = userdata;
        m->saving = true;
        db_submit(c->db, &i->insert.op);
        return 0;
}
