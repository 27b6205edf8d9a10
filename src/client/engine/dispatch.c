/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/engine/dispatch.h"

#include <utlist.h>

#include "base/str-util.h"
#include "client/engine/bind.h"
#include "client/engine/deliver.h"
#include "client/engine/due.h"
#include "client/engine/pump.h"
#include "client/link/connection.h"
#include "client/link/liveness.h"
#include "client/link/peers.h"
#include "client/state/message.h"
#include "client/state/peer.h"

/* If the timer is late by HELD_UP_USEC, the process was held up (for example, the machine was suspended).
 * Then the client reads the answers that came meanwhile, for READ_FIRST_USEC, before it counts timeouts. */
#define READ_FIRST_USEC (50 * USEC_PER_MSEC)

/* A crash may have come between the request to end a message and its end. */
void dispatch_loaded(Peer *p)
{
        Message *m, *next;

        DL_FOREACH_SAFE2(p->bound, m, next, link.next)
        {
                if (delivery_state_is_ending(m->record.state) && !m->bind.window)
                        deliver_event(m, DELIVERY_GONE,
                                        "plain text has no id, so the receiver cannot be asked");
        }
        if (p->listed && p->info.draining)
                dispatch_move_on(p);
}

static void move(Message *m, DeliveryEvent event, const char *why)
{
        Queue *q = m->queue;

        deliver_event(m, event, why);
        if (!q->reading)
                bind_queue(q);
}

void dispatch_move_on(Peer *p)
{
        Message *m, *next;

        bind_keys_elsewhere(p);
        DL_FOREACH_SAFE2(p->bound, m, next, link.next)
        {
                if (delivery_state_is_ending(m->record.state) && peer_is_gone(p))
                        deliver_event(m, DELIVERY_GONE, "the receiver is gone");
                else if (deliver_may_move(m) && m->link.attempted)
                        move(m, DELIVERY_GONE, "the receiver is gone, and may have run it");
                else if (deliver_may_move(m))
                        move(m, DELIVERY_UNBIND, "the receiver is not available");
        }
}

/* What it does not take now, and did not get yet, need not wait there: the least urgent, then the newest,
 * goes back first. Then they get receivers again, in their old order. */
static void give_back(Peer *p)
{
        Message *m = p->ready ? p->ready->link.ready_prev : NULL, *previous;
        bool some = false;
        Queue *q;

        for (; m && peer_is_overfull(p); m = previous) {
                previous = m == p->ready ? NULL : m->link.ready_prev;
                if (!deliver_may_be_given_back(m))
                        continue;
                q = m->queue;
                deliver_event(m, DELIVERY_UNBIND, "busy there");
                if (q->selector.mode == SELECTOR_KEY && !q->reading)
                        bind_queue(q);
                some = true;
        }
        if (!some)
                return;
        for (q = p->client->queues.any; q; q = q->next)
                if (q->queued && !q->reading)
                        bind_queue(q);
        bind_for_peer(p);
}

static void on_answer(Message *m, const AnswerFrame *a)
{
        Peer *p = m->link.peer;
        const bool is_refused = p && a->outcome == OUTCOME_BUSY;

        if (is_refused)
                bind_refused(m);
        deliver_answer(m, a);
        if (is_refused)
                give_back(p);
}

/* It keeps its id. */
void dispatch_renamed(Peer *p)
{
        Message *m, *next;

        DL_FOREACH_SAFE2(p->bound, m, next, link.next)
        {
                if (m->queue && m->queue->selector.name && deliver_may_move(m))
                        move(m, DELIVERY_UNBIND, "the receiver has another name");
        }
}

void dispatch_bound(Message *m)
{
        Peer *p = m->link.peer;

        bind_done(m);
        deliver_event(m, DELIVERY_BIND, NULL);
        /* Meanwhile it may have begun to drain or to refuse, the connection may have ended, or another
         * receiver may have got the name. */
        if (deliver_may_move(m) && (m->queue->selector.name || !peer_takes_now(p)))
                move(m, DELIVERY_UNBIND, "the receiver is not available");
        else
                pump(p);
}

static void on_room(Peer *p)
{
        bind_for_peer(p);
        pump(p);
}

static void on_up(Peer *p)
{
        Message *m;

        DL_FOREACH2(p->bound, m, link.next)
        {
                if (delivery_state_is_ending(m->record.state))
                        deliver_ask(m);
        }
        on_room(p);
}

static void on_down(Peer *p)
{
        Message *m, *next;

        DL_FOREACH_SAFE2(p->bound, m, next, link.next)
        {
                peer_answered(m);
                if (m->record.state != DELIVERY_SENT)
                        continue;
                peer_unsent(m);
                deliver_event(m, DELIVERY_DISCONNECT, "the connection ended");
        }
        /* Messages that were written go first again, in order of binding. */
        peer_reorder(p);
        dispatch_move_on(p);
}

/* A plain text message counts as sent now. A frame counts as sent when it is in the output buffer. When the
 * buffer is empty, there is room for more frames. */
static void on_written(Peer *p)
{
        if (p->plain)
                deliver_event(p->plain, DELIVERY_WRITE, NULL);
        else
                pump(p);
}

static void on_idle(Peer *p)
{
        Client *c = p->client;

        pump(p);
        bind_for_peer(p);
        peer_release(p);
        peers_forget(c);
}

const LinkEvents dispatch_link_events = {
                .up = on_up,
                .down = on_down,
                .answer = on_answer,
                .credit = give_back,
                .room = on_room,
                .leaving = dispatch_move_on,
                .written = on_written,
                .idle = on_idle,
};

void dispatch_saved(Message *m, DeliveryState before, bool was_binding)
{
        const DeliveryState state = m->save.state;

        if (was_binding && m->bind.pending)
                dispatch_bound(m);
        if (delivery_state_is_final(state))
                deliver_settled(m);
        else if (delivery_state_is_ending(state) && !delivery_state_is_ending(before))
                deliver_ending_saved(m);
}

static void on_time(Message *m)
{
        _cleanup_free_ char *text = NULL;
        char duration[DURATION_MAX];

        if (m->record.state == DELIVERY_BACKOFF) {
                deliver_event(m, DELIVERY_DUE, NULL);
                return;
        }
        if (m->record.state == DELIVERY_BOUND) { /* the read of its payload failed before */
                peer_ready(m);
                return;
        }
        text = str_format("no ack within %s", format_duration(duration, message_policy(m).ack_timeout_usec));
        deliver_event(m, DELIVERY_TIMEOUT, text);
        /* After the last attempt it is given up. A receiver of plain text cannot be asked. */
        if (delivery_state_is_ending(m->record.state) && !m->bind.window)
                deliver_event(m, DELIVERY_GONE, text);
}

void dispatch_due(void *userdata)
{
        Client *c = userdata;
        HeapItem *first;

        if (!c->due.held && timer_late(&c->due.timer) > HELD_UP_USEC) {
                c->due.held = true;
                (void) timer_arm_in(&c->due.timer, READ_FIRST_USEC);
                return;
        }
        c->due.held = false;
        while ((first = heap_first(&c->due.heap)) && first->due <= now_usec(CLOCK_BOOTTIME)) {
                Message *m = CONTAINER_OF(first, Message, due);
                Peer *p = m->link.peer;

                heap_remove(&c->due.heap, first);
                on_time(m);
                if (p)
                        on_room(p);
        }
        c->due.armed = first ? first->due : USEC_INFINITY;
        (void) timer_arm_at(&c->due.timer, c->due.armed);
}
