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

/* When the queue had its last turn at this receiver. All keys there are as one queue. */
static uint64_t *turn_of(Queue *q, Peer *p)
{
        return q->selector.mode == SELECTOR_KEY ? &p->keys_turn : &q->turn;
}

/* Binding one message. */

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
        m->bind.earlier = false;
        m->record.receiver = p->info.id;
        str_copy(m->record.receiver_name, sizeof m->record.receiver_name, peer_name(p));
        m->bind.pending = true;
        p->turn = ++p->client->peers.turn;
        *turn_of(m->queue, p) = p->turn;
        m->bind.preferred = m->record.number == p->refused;
        p->refused = 0;
        if (m->queue->selector.mode == SELECTOR_KEY)
                m->queue->owner = p;
        return 0;
}

int bind_load(Message *m, Peer *p, SendWindow *w)
{
        int r;

        m->bind.window = w;
        m->bind.earlier = true;
        r = peer_bind(p, m);
        if (r < 0)
                return r;
        if (m->queue->selector.mode == SELECTOR_KEY)
                m->queue->owner = p;
        if (m->record.state == DELIVERY_BOUND)
                peer_ready(m);
        return 0;
}

static void stop_pressing(Message *m)
{
        if (m->bind.pressing)
                m->link.peer->n_pressing--;
        m->bind.pressing = false;
}

void bind_done(Message *m)
{
        stop_pressing(m);
        m->bind.pending = false;
}

static void unbind(Message *m)
{
        stop_pressing(m);
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

void bind_settle_late(Message *m)
{
        m->bind.window = NULL;
}

/* It was refused in its turn, so it is the next one there. If it is refused again, it is not: there may be
 * no place for this message alone, and the others must not wait for that. */
void bind_refused(Message *m)
{
        Peer *p = m->link.peer;

        if (p->refused == 0 && !m->bind.preferred)
                p->refused = m->record.number;
}

static bool is_next(const Message *m, const Peer *p)
{
        return m->record.number == p->refused;
}

void bind_drop(Message *m)
{
        Peer *p = m->link.peer;

        unbind(m);
        save_give_up_binding(m, m->bind.window, m->record.sequence);
        m->bind.window = NULL;
        m->record.receiver = m->record.stream = SD_ID128_NULL;
        m->record.sequence = 0;
        backlog_give_back(m->queue, m);
        if (is_next(m, p) && m->queue->selector.mode == SELECTOR_KEY && peer_may_be_chosen(p))
                queue_wait_first(m->queue, p);
}

/* The choice of a receiver for a queue. */

/* Whether a receiver of plain text is there shows only when a message is sent. */
static bool may_take_any(const Peer *p)
{
        return peer_may_be_chosen(p) && (!p->info.plain || p->link.failures == 0);
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
                if (p->info.plain && may_take_any(p) && peer_free_credit(p) > 0 &&
                                selector_matches(selector, &p->info))
                        best = p;
        return best;
}

/* A key stays with the receiver of its first message as long as the key has messages. */
static Peer *find_owner(const Queue *q)
{
        uint64_t most = 0;
        Peer *p, *best = NULL;

        if (q->owner && peer_may_be_chosen(q->owner))
                return q->owner;
        for (p = q->client->peers.by_name; p; p = p->hh_name.next) {
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

/* The only receiver that may get the next message of the queue; NULL: there is none, or there may be
 * several. A receiver that was never listed has no name: nobody knows yet whether it takes frames. */
static Peer *find_certain(const Queue *q)
{
        Peer *p;

        switch (q->selector.mode) {
        case SELECTOR_TO:
                p = peer_of_selector(q->client, &q->selector);
                return p && p->info.name ? p : NULL;
        case SELECTOR_KEY:
                return q->n_bound > 0 ? NULL : find_owner(q);
        default:
                return NULL; /* the client binds the members of a message to several, not the whole */
        }
}

Peer *bind_choose(Queue *q)
{
        if (q->selector.mode == SELECTOR_ANY)
                return choose_any(q->client, &q->selector);
        Peer *p = find_certain(q);
        return p && !p->info.draining && peer_free_credit(p) > 0 ? p : NULL;
}

void bind_connect(Queue *q)
{
        Peer *p;

        if (q->selector.mode != SELECTOR_ANY) {
                p = find_certain(q);
                if (p && !p->info.plain)
                        peer_connect(p);
                return;
        }
        for (Peer *next = p = q->client->peers.by_name; p; p = next) {
                next = p->hh_name.next;
                if (!p->info.plain && selector_matches(&q->selector, &p->info))
                        peer_connect(p);
        }
}

/* The choice of a message for a receiver: the most urgent one that waits for it; among equals, the one that
 * it has refused; else that of the queue whose turn was longest ago. All keys of a receiver take their turn
 * as one, each after the other. */

static bool goes_before(Queue *a, Queue *b, Peer *p)
{
        const Message *m = a->queued, *n = b->queued;

        if (m->record.policy.priority != n->record.policy.priority)
                return m->record.policy.priority > n->record.policy.priority;
        if (is_next(m, p) || is_next(n, p))
                return is_next(m, p);
        return *turn_of(a, p) < *turn_of(b, p);
}

static Queue *better(Queue *best, Queue *q, Peer *p)
{
        return q && q->queued && (!best || goes_before(q, best, p)) ? q : best;
}

static Queue *choose_queue(Peer *p)
{
        Queue *q, *best = NULL;

        if (p->info.draining)
                return NULL;
        best = better(best, queue_of_receiver(p->client, p->info.id), p);
        best = better(best, queue_of_holder(p), p);
        best = better(best, p->keys, p);
        DL_FOREACH(p->client->queues.any, q) {
                if (q->queued && may_take_any(p) && selector_matches(&q->selector, &p->info))
                        best = better(best, q, p);
        }
        return best;
}

/* Binds the first message of the queue and saves that. 0 or negative errno. */
static int bind_first(Queue *q, Peer *p)
{
        Message *m = q->queued;
        int r;

        backlog_take(q, m);
        r = bind_message(m, p);
        if (r < 0) {
                backlog_give_back(q, m);
                return r;
        }
        queue_wait_no_more(q);
        message_save(m);
        backlog_read_on(q, bind_queue);
        return 0;
}

/* Binds as much as the receiver has room for. False: nothing was bound. */
static bool fill(Peer *p)
{
        bool some = false;
        Queue *q;

        while (peer_free_credit(p) > 0 && !p->client->stopping && (q = choose_queue(p))) {
                if (bind_first(q, p) < 0) {
                        if (!p->full)
                                peer_try_again(p);
                        break;
                }
                some = true;
        }
        return some;
}

/* The receiver can be sent a message now, but the first one that is bound to it is less urgent than one that
 * waits: this one is bound beyond the credit, and has the place. */
void bind_press(Peer *p)
{
        const Queue *q;

        while (peer_may_be_pressed(p) && (q = choose_queue(p))) {
                Message *m = q->queued;

                if (m->record.policy.priority <= p->ready->record.policy.priority ||
                                bind_first(m->queue, p) < 0)
                        return;
                m->bind.pressing = true;
                p->n_pressing++;
        }
}

static void press_for(Queue *q)
{
        Peer *p = find_certain(q);

        if (p)
                bind_press(p);
        if (q->selector.mode != SELECTOR_ANY)
                return;
        DL_FOREACH2(q->client->peers.connected, p, link.next)
        {
                if (q->queued && p->listed && selector_matches(&q->selector, &p->info))
                        bind_press(p);
        }
}

/* Waits at its owner with its next message, or nowhere. */
static void wait_with_key(Queue *q)
{
        const bool empty = !q->queued && q->n_stored == 0;

        if (q->n_bound > 0 || !q->queued) {
                queue_wait_no_more(q);
                if (empty && q->n_bound == 0)
                        q->owner = NULL;
                return;
        }
        q->owner = find_owner(q);
        queue_wait_at(q, q->owner);
}

void bind_queue(Queue *q)
{
        Peer *p;

        if (q->selector.mode == SELECTOR_KEY)
                wait_with_key(q);
        /* A receiver whose window is full has no room any more: another one may have some. */
        while (q->queued && !q->client->stopping && (p = bind_choose(q)) && (fill(p) || p->full))
                ;
        if (q->queued)
                press_for(q);
        backlog_read_on(q, bind_queue);
        if (q->selector.mode == SELECTOR_KEY)
                wait_with_key(q);
        if (q->queued)
                bind_connect(q);
}

/* There may be many queues without a receiver. So this searches them only if `p->sought` says that one may
 * wait for `p`. */
static void bind_stuck(Peer *p)
{
        Queue *q, *next;

        if (!p->sought || !peer_may_be_chosen(p))
                return;
        p->sought = false;
        DL_FOREACH_SAFE2(p->client->queues.stuck, q, next, waits_next)
        {
                if (selector_matches(&q->selector, &p->info))
                        bind_queue(q);
        }
}

void bind_for_peer(Peer *p)
{
        Queue *const direct[] = {queue_of_receiver(p->client, p->info.id), queue_of_holder(p)}, *q;
        bool waits;

        (void) fill(p);
        bind_press(p);
        waits = p->keys;
        for (size_t i = 0; i < ELEMENTSOF(direct); i++)
                if (direct[i]) {
                        backlog_read_on(direct[i], bind_queue);
                        waits = waits || queue_is_waiting(direct[i]);
                }
        if (!p->info.plain && p->info.name && waits)
                peer_connect(p);
        DL_FOREACH(p->client->queues.any, q) {
                if (!p->listed || !selector_matches(&q->selector, &p->info))
                        continue;
                backlog_read_on(q, bind_queue);
                if (!p->info.plain)
                        peer_connect(p); /* so it gets its share of the next messages */
        }
        bind_stuck(p);
}

void bind_keys_elsewhere(Peer *p)
{
        if (peer_may_be_chosen(p))
                return;
        while (p->keys) {
                Queue *q = p->keys;

                queue_wait_no_more(q);
                bind_queue(q);
        }
}
