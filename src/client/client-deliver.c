/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/client-deliver.h"

#include <errno.h>
#include <unistd.h>
#include <utlist.h>

#include "base/log.h"
#include "base/str-util.h"
#include "client/client-connection.h"
#include "client/client-ledger.h"
#include "client/client-message.h"
#include "client/client-queue.h"
#include "client/client-save.h"
#include "model/backoff.h"

static const Backoff backoff_failed = {USEC_PER_SEC / 2, 30 * USEC_PER_SEC};
static const Backoff backoff_busy = {100 * USEC_PER_MSEC, 5 * USEC_PER_SEC};

/* What is told to who watches. NULL: the name of the state that is reached. */
static const char *const event_words[_DELIVERY_EVENT_MAX] = {
                [DELIVERY_BIND] = "bound",
                [DELIVERY_WRITE] = "sent",
                [DELIVERY_ANSWER_FAILED] = "failed",
                [DELIVERY_ANSWER_BUSY] = "busy",
                [DELIVERY_ANSWER_WORKING] = "working",
                [DELIVERY_TIMEOUT] = "no-ack",
                [DELIVERY_DISCONNECT] = "disconnected",
                [DELIVERY_UNBIND] = "queued",
};

static void arm(Message *m, uint64_t usec)
{
        Client *c = m->client;
        HeapItem *first;

        /* Without memory for the timer the message waits for the next connection. */
        (void) !heap_put(&c->due, &m->due, usec_add(now_usec(CLOCK_BOOTTIME), usec));
        first = heap_first(&c->due);
        (void) timer_arm_at(&c->due_timer, first ? first->due : USEC_INFINITY);
}

static void arm_retry(Message *m, DeliveryEvent event, uint64_t hint_usec)
{
        uint64_t random = 0, usec = 0;

        (void) !getentropy(&random, sizeof random);
        m->failures++;
        /* A timeout has been waited for already. */
        if (event == DELIVERY_ANSWER_FAILED)
                usec = backoff_delay(&backoff_failed, m->failures, random);
        else if (event == DELIVERY_ANSWER_BUSY)
                usec = backoff_delay(&backoff_busy, m->failures, random);
        arm(m, MAX(usec, hint_usec));
}

static void settle(Message *m)
{
        Client *c = m->client;

        heap_remove(&c->due, &m->due);
        if (m->sends > 0 && m->record.state != DELIVERY_CANCELLED) {
                m->record.attempts++;
                c->n_attempts++;
        }
        if (m->peer)
                peer_unbind(m->peer, m);
        else if (m->queue)
                queue_take(m->queue, m);
        message_leave_queue(m);
        m->binding = false;
        free(m->payload);
        m->payload = NULL;
        m->record.settled_usec = now_usec(CLOCK_REALTIME);
        c->n_open--;
        c->n_settled++;
}

static void drop_binding(Message *m)
{
        heap_remove(&m->client->due, &m->due);
        if (m->sends > 0)
                m->record.duplicate = true;
        peer_unbind(m->peer, m);
        m->old_ledger = m->ledger;
        m->old_sequence = m->record.sequence;
        m->ledger = NULL;
        m->failures = 0;
        m->record.receiver = m->record.stream = SD_ID128_NULL;
        m->record.sequence = 0;
        queue_give_back(m->queue, m);
}

static void note_failure(Message *m, const char *detail)
{
        Client *c = m->client;

        m->record.attempts++;
        c->n_attempts++;
        (void) str_replace(&m->record.error, detail);
}

static void report(Message *m, DeliveryEvent event, uint32_t attempt, const char *detail)
{
        Client *c = m->client;
        const char *word = m->record.state == DELIVERY_CANCELLING ? delivery_state_to_string(m->record.state)
                                                                  : event_words[event];

        /* An end is told when it is on disk. */
        if (delivery_state_is_final(m->record.state))
                return;
        if (word)
                c->observer.message_event(m, word, attempt, detail ?: "", c->observer.userdata);
        message_changed(m);
}

void deliver_settled(Message *m)
{
        Client *c = m->client;
        Ledger *l = m->ledger;

        if (l) {
                ledger_settle(l, m->record.sequence);
                m->ledger = NULL;
        }
        c->observer.message_event(m, delivery_state_to_string(m->record.state), m->record.attempts,
                        m->record.state == DELIVERY_ACKED ? "" : m->record.error ?: "", c->observer.userdata);
        message_changed(m);
        if (l)
                deliver_wanted(l->peer); /* its window has moved */
}

/* Does what a step asks for. True when the durable half has changed. */
static bool act(Message *m, DeliveryEvent event, unsigned actions, const char *detail, uint64_t hint_usec)
{
        if (actions & DELIVERY_CHARGE)
                note_failure(m, detail);
        if (actions & DELIVERY_ARM_ACK)
                arm(m, m->client->ack_timeout_usec);
        if (actions & DELIVERY_ARM_RETRY)
                arm_retry(m, event, hint_usec);
        if (actions & DELIVERY_ASK_CANCEL) {
                peer_send_cancel(m->peer, m);
                arm(m, m->client->ack_timeout_usec);
        }
        if (actions & DELIVERY_SETTLE)
                settle(m);
        if (actions & DELIVERY_DROP_BINDING)
                drop_binding(m);
        return actions & (DELIVERY_CHARGE | DELIVERY_SETTLE | DELIVERY_DROP_BINDING | DELIVERY_ASK_CANCEL);
}

static void handle(Message *m, DeliveryEvent event, const char *detail, uint64_t hint_usec)
{
        uint32_t attempt = m->record.attempts + 1;
        DeliveryStep step;

        if (!delivery_step(m->record.state, event, &step))
                return;
        m->record.state = step.next;
        if (m->peer && event != DELIVERY_WRITE && event != DELIVERY_ANSWER_WORKING)
                peer_answered(m->peer, m);
        bool save = act(m, event, step.actions, detail, hint_usec);
        report(m, event, attempt, detail);
        if (save)
                message_save(m);
        if (event != DELIVERY_BIND)
                message_spare_payload(m);
        if (m->record.state == DELIVERY_BOUND && event != DELIVERY_DISCONNECT)
                peer_ready(m->peer, m);
}

void deliver_event(Message *m, DeliveryEvent event, const char *detail)
{
        handle(m, event, detail, 0);
}

void deliver_too_large(Message *m, uint32_t limit)
{
        _cleanup_free_ char *text = str_format("the receiver takes at most %" PRIu32 " bytes", limit);

        (void) str_replace(&m->record.error, text);
        deliver_event(m, DELIVERY_ANSWER_REJECTED, text);
}

static void keep_reply(Message *m, const AnswerFrame *a)
{
        if (a->data.size == 0)
                return;
        free(m->record.reply);
        m->record.reply = malloc(a->data.size);
        if (!m->record.reply)
                return;
        memcpy(m->record.reply, a->data.data, a->data.size);
        m->record.reply_size = a->data.size;
}

/* Nothing was written yet, or nobody is left who could answer: for anybody means for another one. */
static bool may_move(const Message *m)
{
        if (m->binding || !m->queue || m->queue->selector.mode != SELECTOR_ANY)
                return false;
        return (m->sends == 0 && !m->record.duplicate) || peer_is_gone(m->peer);
}

void deliver_answer(Peer *p, const AnswerFrame *a)
{
        static const DeliveryEvent events[_OUTCOME_MAX] = {
                        [OUTCOME_ACKED] = DELIVERY_ANSWER_ACKED,
                        [OUTCOME_REJECTED] = DELIVERY_ANSWER_REJECTED,
                        [OUTCOME_FAILED] = DELIVERY_ANSWER_FAILED,
                        [OUTCOME_BUSY] = DELIVERY_ANSWER_BUSY,
                        [OUTCOME_WORKING] = DELIVERY_ANSWER_WORKING,
                        [OUTCOME_SETTLED] = DELIVERY_ANSWER_SETTLED,
                        [OUTCOME_CONFLICT] = DELIVERY_ANSWER_CONFLICT,
                        [OUTCOME_CANCELLED] = DELIVERY_ANSWER_CANCELLED,
        };
        Message *m = message_find(p->client, a->message);

        /* Late, or about a binding that was given up. */
        if (!m || m->peer != p || !sd_id128_equal(m->record.stream, a->stream) ||
                        m->record.sequence != a->sequence)
                return;
        bool passing = a->outcome == OUTCOME_FAILED || a->outcome == OUTCOME_BUSY;
        if (passing && a->attempt != m->record.attempts + 1)
                return;

        _cleanup_free_ char *text = NULL;
        if (a->outcome == OUTCOME_ACKED)
                keep_reply(m, a);
        else if (a->outcome == OUTCOME_CONFLICT)
                text = strdup("the receiver has another message under this sequence");
        else
                text = str_printable(a->data.data, a->data.size, ERROR_TEXT_MAX);
        if (a->outcome == OUTCOME_REJECTED)
                (void) str_replace(&m->record.error, text);
        /* "Not started" about the only send there was: the next one is the first. */
        if (a->outcome == OUTCOME_BUSY && m->sends == 1)
                m->sends = 0;
        handle(m, events[a->outcome], text, a->delay_ms * USEC_PER_MSEC);

        if (a->outcome == OUTCOME_BUSY && may_move(m) &&
                        deliver_choose(p->client, &m->queue->selector) != p) {
                Queue *q = m->queue;
                deliver_event(m, DELIVERY_UNBIND, "busy there");
                deliver_queue(q);
        }
}

int deliver_cancel(Message *m)
{
        bool unsent = m->record.state == DELIVERY_QUEUED ? !m->record.duplicate
                                                         : m->sends == 0 && !m->record.duplicate;

        if (delivery_state_is_final(m->record.state))
                return -EALREADY;
        if (m->record.state == DELIVERY_CANCELLING)
                message_save(m);
        deliver_event(m, unsent ? DELIVERY_CANCEL_UNSENT : DELIVERY_CANCEL, "cancelled by the sender");
        /* Nobody can be asked about bare text. */
        if (m->record.state == DELIVERY_CANCELLING && !m->ledger)
                deliver_event(m, DELIVERY_GONE, "cancelled by the sender");
        return 0;
}

void deliver_on_due(void *userdata)
{
        Client *c = userdata;
        _cleanup_free_ char *text = NULL;
        char duration[DURATION_MAX];
        HeapItem *first;

        while ((first = heap_first(&c->due)) && first->due <= now_usec(CLOCK_BOOTTIME)) {
                Message *m = CONTAINER_OF(first, Message, due);
                Peer *p = m->peer;

                heap_remove(&c->due, first);
                if (!text)
                        text = str_format(
                                        "no ack within %s", format_duration(duration, c->ack_timeout_usec));
                deliver_event(m, m->record.state == DELIVERY_WAITING ? DELIVERY_DUE : DELIVERY_TIMEOUT,
                                text);
                if (p)
                        peer_pump(p);
        }
        (void) timer_arm_at(&c->due_timer, first ? first->due : USEC_INFINITY);
}

int deliver_bind(Message *m, Peer *p)
{
        Ledger *l = NULL;
        int r;

        if (!p->info.plain) {
                r = ledger_current(p, &l);
                if (r < 0)
                        return r;
                if (!ledger_has_room(l))
                        return -EAGAIN;
                m->record.stream = l->stream;
                m->record.sequence = ledger_open(l);
        }
        m->ledger = l;
        m->record.receiver = p->info.id;
        (void) snprintf(m->record.receiver_name, sizeof m->record.receiver_name, "%s", peer_name(p));
        m->binding = true;
        p->turn = ++p->client->turn;
        peer_bind(p, m);
        return 0;
}

static Peer *choose_any(Client *c, const Selector *selector)
{
        Peer *p, *best = NULL;

        DL_FOREACH2(c->connected, p, connected_next)
        {
                uint32_t free_credit = peer_free_credit(p), best_credit = best ? peer_free_credit(best) : 0;

                if (free_credit == 0 || !p->listed || !selector_matches(selector, &p->info))
                        continue;
                if (!best || free_credit > best_credit ||
                                (free_credit == best_credit && p->turn < best->turn))
                        best = p;
        }
        for (p = selector->plain && !best ? c->peer_names : NULL; p && !best; p = p->hh_name.next)
                if (p->info.plain && peer_free_credit(p) > 0 && selector_matches(selector, &p->info))
                        best = p;
        return best;
}

Peer *deliver_choose(Client *c, const Selector *selector)
{
        Peer *p;

        if (selector->mode == SELECTOR_ANY)
                return choose_any(c, selector);
        /* A receiver that was never listed cannot be bound to: whether it takes frames is not known. */
        p = peer_find(c, selector->receiver);
        return p && p->info.name ? p : NULL;
}

void deliver_connect(Queue *q)
{
        Client *c = q->client;

        for (Peer *p = c->peer_names, *next; p; p = next) {
                next = p->hh_name.next;
                if (!p->info.plain && selector_matches(&q->selector, &p->info))
                        connection_open(p);
        }
}

void deliver_queue(Queue *q)
{
        Client *c = q->client;
        Peer *p = NULL;
        int r = 0;

        while (q->waiting && !c->stopping && (p = deliver_choose(c, &q->selector))) {
                Message *m = q->waiting;

                queue_take(q, m);
                r = deliver_bind(m, p);
                if (r < 0) {
                        queue_give_back(q, m);
                        break;
                }
                message_save(m);
        }
        queue_read_on(q);
        if (q->waiting && !p && q->selector.mode == SELECTOR_ANY)
                deliver_connect(q);
}

void deliver_wanted(Peer *p)
{
        Queue *q = p->queue;

        if (q && (q->waiting || q->n_stored > 0))
                deliver_queue(q);
        DL_FOREACH(p->client->any_queues, q) {
                if (!p->listed || !selector_matches(&q->selector, &p->info))
                        continue;
                if (q->waiting || q->n_stored > 0)
                        deliver_queue(q);
                if (!p->info.plain)
                        connection_open(p); /* to have its share of the next ones */
        }
}

void deliver_credit(Peer *p)
{
        deliver_wanted(p);
        peer_pump(p);
}

void deliver_connected(Peer *p)
{
        Message *m;

        DL_FOREACH(p->bound, m) {
                if (m->record.state == DELIVERY_CANCELLING) {
                        peer_send_cancel(p, m);
                        arm(m, p->client->ack_timeout_usec);
                }
        }
        deliver_credit(p);
}

void deliver_move_on(Peer *p)
{
        Message *m, *next;

        DL_FOREACH_SAFE(p->bound, m, next) {
                Queue *q = m->queue;

                if (m->record.state == DELIVERY_CANCELLING && peer_is_gone(p))
                        deliver_event(m, DELIVERY_GONE, "the receiver is gone");
                else if (may_move(m)) {
                        deliver_event(m, DELIVERY_UNBIND, "the receiver is not there");
                        if (!q->reading)
                                deliver_queue(q);
                }
        }
}

void deliver_disconnected(Peer *p)
{
        Message *m, *next;

        DL_FOREACH_SAFE(p->bound, m, next) {
                m->in_flight = false;
                if (m->record.state == DELIVERY_SENT)
                        deliver_event(m, DELIVERY_DISCONNECT, "the connection ended");
        }
        /* In order of binding again, before what was never written. */
        DL_FOREACH_SAFE2(p->ready, m, next, ready_next)
        {
                m->ready = false;
                DL_DELETE2(p->ready, m, ready_prev, ready_next);
        }
        DL_FOREACH(p->bound, m) {
                if (m->record.state == DELIVERY_BOUND)
                        peer_ready(p, m);
        }
        deliver_move_on(p);
}
