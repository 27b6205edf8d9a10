/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/intake/purge.h"

#include <errno.h>

#include "client/state/message.h"

typedef struct Purge {
        OutboxPurgeOp purge;
        Message *message; /* pinned */
        PurgeDone done;
        void *userdata;
} Purge;

static void on_purged(DbOp *op, int r)
{
        Purge *p = CONTAINER_OF(CONTAINER_OF(op, OutboxPurgeOp, op), Purge, purge);
        Message *m = p->message;

        p->done(r, p->userdata);
        free(p);
        m->purging = false;
        if (r >= 0) {
                m->client->messages.n_dead -= delivery_state_is_dead_letter(m->record.state);
                message_forget(m);
        }
        message_unpin(m);
}

int message_purge(Message *m, PurgeDone done, void *userdata)
{
        Purge *p;

        if (m->purging)
                return -EALREADY;
        /* The disk may still say "dead" for a message that is tried again, so check memory. */
        if (!delivery_state_is_final(m->record.state) || (m->fanout && m->fanout->reading))
                return -EBUSY;
        p = calloc(1, sizeof *p);
        if (!p)
                return -ENOMEM;
        outbox_purge_op_init(&p->purge);
        p->message = m;
        p->done = done, p->userdata = userdata;
        p->purge.number = m->record.number;
        p->purge.op.done = on_purged;
        m->purging = true;
        message_pin(m);
        db_submit(m->client->db, &p->purge.op);
        return 0;
}
