/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/engine/pump.h"

#include <errno.h>
#include <inttypes.h>

#include "base/crash-point.h"
#include "base/log.h"
#include "client/engine/bind.h"
#include "client/engine/deliver.h"
#include "client/engine/fanout.h"
#include "client/link/connection.h"
#include "client/link/plain.h"
#include "client/state/message.h"
#include "client/state/peer.h"

/* A read of a payload from the disk. The message becomes ready again when the payload is in memory. */
typedef struct Fetch {
        OutboxPayloadOp fetch;
        Message *message;
} Fetch;

static void on_payload(DbOp *op, int r)
{
        Fetch *f = CONTAINER_OF(CONTAINER_OF(op, OutboxPayloadOp, op), Fetch, fetch);
        Message *m = f->message;
        Peer *p = m->link.peer;

        m->fetching = false;
        if (p)
                peer_fetched(m);
        if (r >= 0)
                r = f->fetch.size == m->record.size ? message_keep_payload(m, f->fetch.payload) : -EUCLEAN;
        if (r < 0)
                log_error_errno(r, "Cannot read message %" PRIu64 " from the outbox", m->record.number);
        free(f->fetch.payload);
        free(f);
        if (p && m->record.state == DELIVERY_BOUND && r >= 0)
                peer_ready(m);
        else if (r < 0)
                deliver_unreadable(m, r);
        if (p)
                pump(p);
        message_release(m);
}

static void fetch(Message *m)
{
        Fetch *f = calloc(1, sizeof *f);

        peer_unready(m);
        if (!f) {
                deliver_unreadable(m, -ENOMEM);
                return;
        }
        outbox_payload_op_init(&f->fetch);
        f->message = m;
        f->fetch.number = m->record.number;
        f->fetch.op.done = on_payload;
        m->fetching = true;
        peer_fetches(m);
        db_submit(m->client->db, &f->fetch.op);
}

/* Returns false if the client cannot write more messages now. */
static bool write_one(Peer *p, Message *m)
{
        if (message_is_member(m) && !fanout_needs(m))
                return true;
        peer_unready(m);
        switch (peer_write(p, m)) {
        case 0:
                deliver_event(m, DELIVERY_WRITE, NULL);
                return true;
        case -EMSGSIZE:
                deliver_too_large(m, p->link.max_payload);
                return true;
        case -ENODATA:
                fetch(m);
                return true;
        default:
                peer_ready(m);
                peer_try_again(p);
                return false;
        }
}

/* A draining receiver gets no new messages. It still gets those that it may have started. */
static Message *find_next(const Peer *p)
{
        Message *m = p->ready;

        while (m && p->info.draining && message_never_started(m))
                m = m->link.ready_next;
        return m;
}

/* Before it goes a step down in priority, what is more urgent and not bound yet gets its place. The first
 * one is not compared again: it was when it was bound, or when there was room. */
static void pump_framed(Peer *p)
{
        uint32_t priority = 0;
        Message *m;

        while (peer_has_room(p) && (m = find_next(p))) {
                const bool down = m->record.policy.priority < priority;

                priority = m->record.policy.priority;
                if (down)
                        bind_press(p);
                else if (!write_one(p, m))
                        break;
        }
        peer_flush(p);
        crash_point("behind-write");
}

static void pump_plain(Peer *p)
{
        if (plain_is_free(p) && p->ready && plain_write(p, p->ready) == -ENODATA)
                fetch(p->ready);
}

void pump(Peer *p)
{
        if (p->client->stopping)
                return;
        if (p->info.plain)
                pump_plain(p);
        else if (peer_is_connected(p))
                pump_framed(p);
        else if (p->link.state == PEER_IDLE && (p->bound || (p->listed && p->windows)))
                peer_connect(p);
}
