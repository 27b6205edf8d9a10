/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/engine/bind.h"

#include <errno.h>
#include <utlist.h>

#include "base/str-util.h"
#include "client/engine/backlog.h"
#include "client/engine/save.h"
#include "client/link/connection.h"
#include "client/link/plain.h"
#include "client/link/window.h"
#include "client/state/message.h"
#include "client/state/peer.h"
#include "client/state/queue.h"
#include "model/rendezvous.h"

static void set_owner(Message *m)
{
        if (m->queue->selector.mode == SELECTOR_KEY)
                m->queue->owner = m->link.peer;
}

int bind_message(Message *m, Peer *p)
{
        SendWindow *w = NULL;
        int r;

        if (!p->info.plain) {
                r = window_current(p, &w);
                if (r < 0)
                        return r;
                if (!window_has_room(w) || (m->transient && !window_is_kept(w)))
                        return -EAGAIN;
        }
        r = peer_bind(p, m);
        if (r < 0)
                return r;
        if (w) {
                m->record.stream = w->stream;
                m->record.sequence = window_take(w);
        }
        m->bind.window = w;
        m->record.receiver = p->info.id;
        str_copy(m->record.receiver_name, sizeof m->record.receiver_name, peer_name(p));
        m->bind.pending = true;
        p->turn = ++p->client->peers.turn;
        set_owner(m);
        return 0;
}

int bind_load(Message *m, Peer *p, SendWindow *w)
{
        int r;

        m->bind.window = w;
        r = peer_bind(p, m);
        if (r < 0)
                return r;
        set_owner(m);
        if (m->record.state == DELIVERY_BOUND)
                peer_ready(m);
        return 0;
}

void bind_done(Message *m)
{
        m->bind.pending = false;
}

static void unbind(Message *m)
{
        plain_release(m);
        peer_unbind(m);
}

void bind_end(Message *m)
{
        if (m->link.peer)
                unbind(m);
        m->bind.pending = false;
}

void bind_settle(Message *m)
{
        if (m->bind.window)
                window_settle(m->bind.window, m->record.sequence);
        m->bind.window = NULL;
}

void bind_drop(Message *m)
{
        unbind(m);
        save_give_up_binding(m, m->bind.window, m->record.sequence);
        m->bind.window = NULL;
        m->record.receiver = m->record.stream = SD_ID128_NULL;
        m->record.sequence = 0;
        backlog_give_back(m->queue, m);
}

static Peer *choose_any(Client *c, const Selector *selector)
{
        Peer *p, *best = NULL;

        DL_FOREACH2(c->peers.connected, p, link.next)
        {
                uint32_t free_credit = peer_free_credit(p), best_credit = best ? peer_free_credit(best) : 0;

                if (free_credit == 0 || !peer_may_be_chosen(p) || !selector_matches(selector, &p->info))
                        continue;
                if (!best || free_credit > best_credit ||
                                (free_credit == best_credit && p->turn < best->turn))
                        best = p;
        }
        for (p = selector->plain && !best ? c->peers.by_name : NULL; p && !best; p = p->hh_name.next)
                if (p->info.plain && peer_free_credit(p) > 0 && selector_matches(selector, &p->info))
                        best = p;
        return best;
}

/* A key stays with the receiver of its first message as long as the key has messages. */
static Peer *choose_owner(Queue *q)
{
        Client *c = q->client;
        uint64_t most = 0;
        Peer *p, *best = NULL;

        if (q->owner && peer_may_be_chosen(q->owner))
                return q->owner;
        for (p = c->peers.by_name; p; p = p->hh_name.next) {
                if (!peer_may_be_chosen(p) || !selector_matches(&q->selector, &p->info))
                        continue;
                uint64_t weight = rendezvous_weight(p->info.id, q->selector.key);
                if (!best || weight > most) {
                        best = p;
                        most = weight;
                }
        }
        return best;
}

Peer *bind_choose(Queue *q)
{
        Client *c = q->client;
        Peer *p;

        switch (q->selector.mode) {
        case SELECTOR_TO:
                /* A receiver that was never listed has no name. Nobody knows yet whether it takes frames. */
                p = peer_find(c, q->selector.receiver);
                return p && p->info.name ? p : NULL;
        case SELECTOR_ANY:
                return choose_any(c, &q->selector);
        case SELECTOR_KEY:
                return q->n_bound > 0 ? NULL : choose_owner(q);
        default:
                return NULL; /* the client binds the members, not the whole */
        }
}

static void set_stuck(Queue *q, bool stuck)
{
        if (q->stuck == stuck)
                return;
        q->stuck = stuck;
        if (stuck)
                DL_APPEND2(q->client->queues.stuck, q, stuck_prev, stuck_next);
        else
                DL_DELETE2(q->client->queues.stuck, q, stuck_prev, stuck_next);
}

void bind_connect(Queue *q)
{
        Client *c = q->client;

        for (Peer *p = c->peers.by_name, *next; p; p = next) {
                next = p->hh_name.next;
                if (!p->info.plain && selector_matches(&q->selector, &p->info))
                        peer_connect(p);
        }
}

void bind_queue(Queue *q)
{
        Client *c = q->client;
        Peer *p = NULL;
        int r = 0;

        while (q->queued && !c->stopping && (p = bind_choose(q))) {
                Message *m = q->queued;

                backlog_take(q, m);
                r = bind_message(m, p);
                if (r < 0) {
                        backlog_give_back(q, m);
                        p->sought = p->sought || q->selector.mode == SELECTOR_KEY;
                        if (r == -EAGAIN && p->full && q->selector.mode == SELECTOR_ANY)
                                continue; /* another receiver may have room */
                        break;
                }
                message_save(m);
        }
        backlog_read_on(q, bind_queue);
        if (q->selector.mode == SELECTOR_KEY) {
                if (!q->queued && q->n_stored == 0 && q->n_bound == 0)
                        q->owner = NULL;
                set_stuck(q, q->queued && q->n_bound == 0);
        }
        if (q->queued && !p && q->selector.mode == SELECTOR_ANY)
                bind_connect(q);
}

/* There may be many stuck queues. So this searches them only if `p->sought` says that one may wait for `p`.
 */
static void bind_stuck(Peer *p)
{
        Queue *q, *next;
        SendWindow *w;

        if (!p->sought || !p->listed)
                return;
        p->sought = false;
        DL_FOREACH_SAFE2(p->client->queues.stuck, q, next, stuck_next)
        {
                if (!selector_matches(&q->selector, &p->info))
                        continue;
                if (window_current(p, &w) < 0 || !window_has_room(w)) {
                        p->sought = true;
                        return;
                }
                bind_queue(q);
        }
}

void bind_for_peer(Peer *p)
{
        Queue *q = queue_of_receiver(p->client, p->info.id);

        if (q && (q->queued || q->n_stored > 0))
                bind_queue(q);
        DL_FOREACH(p->client->queues.any, q) {
                if (!p->listed || !selector_matches(&q->selector, &p->info))
                        continue;
                if (q->queued || q->n_stored > 0)
                        bind_queue(q);
                if (!p->info.plain)
                        peer_connect(p); /* so it gets its share of the next messages */
        }
        bind_stuck(p);
}
