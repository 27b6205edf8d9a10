/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/engine/deliver.h"

#include <errno.h>
#include <unistd.h>
#include <utlist.h>

#include "base/crash-point.h"
#include "base/log.h"
#include "base/random-pool.h"
#include "base/str-util.h"
#include "client/engine/bind.h"
#include "client/engine/fanout.h"
#include "client/engine/queue.h"
#include "client/engine/save.h"
#include "client/intake/bulk.h"
#include "client/link/connection.h"
#include "client/link/window.h"
#include "client/state/attempts.h"
#include "client/state/events.h"
#include "client/state/message.h"

/* When we were held up for so long (the machine was suspended), answers that came meanwhile are read before
 * anybody is charged for having said nothing. */
#define HELD_UP_USEC    (200 * USEC_PER_MSEC)
#define READ_FIRST_USEC (50 * USEC_PER_MSEC)

#define READ_AGAIN_USEC USEC_PER_SEC /* a payload that cannot be read */

static const Backoff backoff_busy = {100 * USEC_PER_MSEC, 5 * USEC_PER_SEC};

static void arm(Message *m, uint64_t usec)
{
        Client *c = m->client;
        HeapItem *first;

        /* Without memory for the timer the message waits for the next connection. */
        (void) !heap_put(&c->due.heap, &m->due, usec_add(loop_now(c->loop, CLOCK_BOOTTIME), usec));
        first = heap_first(&c->due.heap);
        /* One that comes too early only looks, and arms itself anew. */
        if (first && first->due < c->due.armed && !c->due.held) {
                c->due.armed = first->due;
                (void) timer_arm_at(&c->due.timer, first->due);
        }
}

static void arm_retry(Message *m, DeliveryEvent event, uint64_t hint_usec)
{
        Policy policy = message_policy(m);
        const Backoff backoff_failed = {policy.backoff_usec, policy.backoff_max_usec};
        uint64_t random = random_u64(), usec = 0;

        m->failures++;
        /* A timeout has been waited for already. */
        if (event == DELIVERY_ANSWER_FAILED)
                usec = backoff_delay(&backoff_failed, m->failures, random);
        else if (event == DELIVERY_ANSWER_BUSY)
                usec = backoff_delay(&backoff_busy, m->failures, random);
        arm(m, MAX(usec, hint_usec));
}

static void settle(Message *m, DeliveryState before)
{
        Client *c = m->client;

        heap_remove(&c->due.heap, &m->due);
        if (m->link.sends > 0 &&
                        (m->record.state == DELIVERY_ACKED || m->record.state == DELIVERY_REJECTED)) {
                m->record.attempts++;
                c->messages.n_attempts++;
        }
        /* Should it be tried again; of what was counted as an attempt it is known. */
        if (m->link.sends > 0 && m->record.attempts == 0 && delivery_state_is_dead_letter(m->record.state))
                m->record.duplicate = true;
        if (m->link.peer)
                peer_unbind(m->link.peer, m);
        else if (m->queue && before == DELIVERY_QUEUED)
                queue_take(m->queue, m);
        message_leave_queue(m);
        m->bind.pending = false;
        if (!message_must_be_persisted(m))
                message_drop_payload(m);
        m->record.settled_usec = loop_now(c->loop, CLOCK_REALTIME);
        m->record.wake_usec = 0;
        if (message_is_member(m))
                return;
        c->messages.n_open--;
        c->messages.n_dead += delivery_state_is_dead_letter(m->record.state);
        c->messages.n_settled++;
}

static void drop_binding(Message *m)
{
        heap_remove(&m->client->due.heap, &m->due);
        if (m->link.sends > 0)
                m->record.duplicate = true;
        peer_unbind(m->link.peer, m);
        m->save.old_window = m->bind.window;
        m->save.old_sequence = m->record.sequence;
        m->bind.window = NULL;
        m->failures = 0;
        m->record.receiver = m->record.stream = SD_ID128_NULL;
        m->record.sequence = 0;
        queue_give_back(m->queue, m);
}

static void note_failure(Message *m, const char *detail)
{
        Client *c = m->client;

        m->record.attempts++;
        c->messages.n_attempts++;
        (void) str_replace(&m->record.error, detail);
}

static const bool routine[_DELIVERY_EVENT_MAX] = {
                [DELIVERY_BIND] = true,
                [DELIVERY_WRITE] = true,
                [DELIVERY_ANSWER_BUSY] = true,
                [DELIVERY_ANSWER_WORKING] = true,
};

static void report(Message *m, DeliveryEvent event, uint32_t attempt, const char *detail)
{
        Client *c = m->client;
        int told = event_of_step(m, event);

        /* An end is told when it is on disk. */
        if (delivery_state_is_final(m->record.state) || (m->quiet && routine[event]))
                return;
        if (told >= 0)
                c->observer.message_event(
                                m, (MessageEvent) told, attempt, detail ?: "", c->observer.userdata);
        message_changed(m);
}

void deliver_settled(Message *m)
{
        Client *c = m->client;
        SendWindow *l = m->bind.window;

        crash_point("settled-before-telling");
        if (l) {
                window_settle(l, m->record.sequence);
                m->bind.window = NULL;
        }
        bool acked = m->record.state == DELIVERY_ACKED;
        if (!m->quiet || !acked)
                c->observer.message_event(m, event_of_end(m), m->record.attempts, acked ? "" : m->record.error ?: "",
                                c->observer.userdata);
        message_changed(m);
        if (m->bulk.program)
                bulk_ended(m); /* of an ack it has heard before */
        fanout_ended(m);
        if (l)
                bind_for_peer(l->peer); /* its window has moved */
}

/* Does what a step asks for. True when the durable half has changed. */
static bool act(Message *m, DeliveryState before, DeliveryEvent event, unsigned actions, const char *detail,
                uint64_t hint_usec)
{
        if (actions & DELIVERY_CHARGE)
                note_failure(m, detail);
        if (actions & DELIVERY_ARM_ACK)
                arm(m, message_policy(m).ack_timeout_usec);
        if (actions & DELIVERY_ARM_RETRY)
                arm_retry(m, event, hint_usec);
        if (actions & DELIVERY_ASK_CANCEL) {
                peer_send_cancel(m->link.peer, m);
                arm(m, message_policy(m).ack_timeout_usec);
        }
        if (actions & DELIVERY_SETTLE)
                settle(m, before);
        if (actions & DELIVERY_DROP_BINDING)
                drop_binding(m);
        return actions & (DELIVERY_CHARGE | DELIVERY_SETTLE | DELIVERY_DROP_BINDING | DELIVERY_ASK_CANCEL);
}

/* With the last attempt that it may have, a message comes to its end. */
static DeliveryEvent count_out(const Message *m, DeliveryEvent event)
{
        uint64_t max = message_policy(m).max_attempts;

        if (max == 0 || m->record.attempts + UINT64_C(1) < max)
                return event;
        return event == DELIVERY_ANSWER_FAILED ? DELIVERY_EXHAUSTED
               : event == DELIVERY_TIMEOUT     ? DELIVERY_GIVE_UP
                                               : event;
}

static void handle(Message *m, DeliveryEvent event, const char *detail, uint64_t hint_usec)
{
        Queue *next = m->queue && m->queue->selector.mode == SELECTOR_KEY ? m->queue : NULL;
        DeliveryState before = m->record.state;
        uint32_t attempt = m->record.attempts + 1;
        DeliveryStep step;

        if (!delivery_step(before, delivery_state_is_ending(before) ? event : count_out(m, event), &step))
                return;
        m->record.state = step.next;
        if (m->link.peer && event != DELIVERY_WRITE && event != DELIVERY_ANSWER_WORKING)
                peer_answered(m->link.peer, m);
        attempts_note(m, before, event, attempt, detail);
        bool save = act(m, before, event, step.actions, detail, hint_usec);
        report(m, event, attempt, detail);
        if (m->bulk.program && m->record.state == DELIVERY_ACKED && m->bind.window)
                bulk_ended(m);
        if (save || m->attempts)
                message_save(m);
        if (event != DELIVERY_BIND)
                message_drop_large_payload(m);
        if (m->record.state == DELIVERY_BOUND && event != DELIVERY_DISCONNECT)
                peer_ready(m->link.peer, m);
        /* The next one of that key. */
        if (next && delivery_state_is_final(m->record.state))
                bind_queue(next);
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

/* Then nobody needs to be asked. */
static bool never_started(const Message *m)
{
        return m->link.sends == 0 && !m->record.duplicate;
}

/* Nothing was written yet, or nobody is left who could answer: for anybody means for another one. */
static bool may_move(const Message *m)
{
        if (m->bind.pending || !m->queue)
                return false;
        if (m->queue->selector.mode == SELECTOR_KEY)
                return peer_is_gone(m->link.peer) || (m->link.peer->info.draining && never_started(m));
        if (m->queue->selector.mode != SELECTOR_ANY)
                return false;
        return never_started(m) || peer_is_gone(m->link.peer);
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
        Message *m = peer_find_message(p, a->message);

        /* Late, or about a binding that was given up. */
        if (!m || !sd_id128_equal(m->record.stream, a->stream) || m->record.sequence != a->sequence)
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
        if (a->outcome == OUTCOME_BUSY && m->link.sends == 1 && m->record.state == DELIVERY_SENT)
                m->link.sends = 0;
        if (a->outcome == OUTCOME_WORKING && !str_empty(text))
                (void) str_replace(&m->progress, text);
        crash_point("answer-before-settling");
        handle(m, events[a->outcome], text, a->delay_ms * USEC_PER_MSEC);

        if (a->outcome == OUTCOME_BUSY && m->link.peer && may_move(m) && bind_choose(m->queue) != p) {
                Queue *q = m->queue;
                deliver_event(m, DELIVERY_UNBIND, "busy there");
                bind_queue(q);
        }
}

int deliver_cancel(Message *m)
{
        static const char text[] = "cancelled by the sender";

        if (delivery_state_is_final(m->record.state))
                return -EALREADY;
        if (m->fanout) {
                fanout_end(m, DELIVERY_CANCEL, text);
                return 0;
        }
        if (m->record.state == DELIVERY_CANCELLING)
                message_save(m);
        deliver_event(m, never_started(m) ? DELIVERY_CANCEL_UNSENT : DELIVERY_CANCEL, text);
        /* Nobody can be asked about bare text. */
        if (m->record.state == DELIVERY_CANCELLING && !m->bind.window)
                deliver_event(m, DELIVERY_GONE, text);
        return 0;
}

void deliver_give_up(Message *m, const char *why)
{
        if (delivery_state_is_final(m->record.state) || delivery_state_is_ending(m->record.state))
                return;
        (void) str_replace(&m->record.error, why);
        m->record.wake_usec = 0;
        if (m->fanout) {
                fanout_end(m, DELIVERY_GIVE_UP, why);
                return;
        }
        deliver_event(m, never_started(m) ? DELIVERY_GIVE_UP_UNSENT : DELIVERY_GIVE_UP, why);
        if (m->record.state == DELIVERY_GIVING_UP && !m->bind.window)
                deliver_event(m, DELIVERY_GONE, why);
}

void deliver_start(Message *m)
{
        if (m->record.state != DELIVERY_DELAYED)
                return;
        if (m->fanout) {
                fanout_start(m);
                return;
        }
        m->record.wake_usec = message_is_member(m) ? 0 : m->record.policy.deadline_usec;
        deliver_event(m, DELIVERY_DUE, "its time has come");
        message_save(m);
        queue_give_back(m->queue, m);
        bind_queue(m->queue);
}

int deliver_revive(Message *m)
{
        Client *c = m->client;
        int r;

        if (m->record.state != DELIVERY_DEAD && m->record.state != DELIVERY_REJECTED)
                return -EALREADY;
        if (m->save.running || m->save.refused) /* what is being written is the end of the binding before */
                return -EBUSY;
        if (m->purging)
                return -ENOENT;
        if (m->fanout)
                return fanout_revive(m);
        r = message_enter_queue(m);
        if (r < 0)
                return r;
        /* It gets all of its attempts once more, and no deadline. */
        m->record.duplicate |= m->record.attempts > 0;
        m->record.attempts = 0;
        m->record.wake_usec = m->record.settled_usec = 0;
        m->record.receiver = m->record.stream = SD_ID128_NULL;
        m->record.sequence = 0;
        m->failures = m->link.sends = 0;
        c->messages.n_open += !message_is_member(m);
        c->messages.n_dead -= !message_is_member(m);
        deliver_event(m, DELIVERY_REVIVE, "tried again");
        message_save(m);
        queue_give_back(m->queue, m);
        bind_queue(m->queue);
        return 0;
}

static void on_due(Message *m)
{
        _cleanup_free_ char *text = NULL;
        char duration[DURATION_MAX];

        if (m->record.state == DELIVERY_BACKOFF) {
                deliver_event(m, DELIVERY_DUE, NULL);
                return;
        }
        if (m->record.state == DELIVERY_BOUND) { /* its payload could not be read */
                peer_ready(m->link.peer, m);
                return;
        }
        text = str_format("no ack within %s", format_duration(duration, message_policy(m).ack_timeout_usec));
        deliver_event(m, DELIVERY_TIMEOUT, text);
}

void deliver_unreadable(Message *m, int r)
{
        if (m->record.state != DELIVERY_BOUND)
                return;
        if (r == -ENOENT || r == -EUCLEAN)
                deliver_give_up(m, "its payload is not in the outbox any more");
        else
                arm(m, READ_AGAIN_USEC);
}

void deliver_on_due(void *userdata)
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
                on_due(m);
                if (p)
                        peer_pump(p);
        }
        c->due.armed = first ? first->due : USEC_INFINITY;
        (void) timer_arm_at(&c->due.timer, c->due.armed);
}

void deliver_credit(Peer *p)
{
        bind_for_peer(p);
        peer_pump(p);
}

/* A crash may have come between the wish to end and the end. */
void deliver_loaded(Peer *p)
{
        Message *m, *next;

        DL_FOREACH_SAFE2(p->bound, m, next, link.next)
        {
                if (delivery_state_is_ending(m->record.state) && !m->bind.window)
                        deliver_event(m, DELIVERY_GONE, "nobody can be asked about bare text");
        }
}

void deliver_connected(Peer *p)
{
        Message *m;

        DL_FOREACH2(p->bound, m, link.next)
        {
                if (delivery_state_is_ending(m->record.state)) {
                        peer_send_cancel(p, m);
                        arm(m, message_policy(m).ack_timeout_usec);
                }
        }
        deliver_credit(p);
}

void deliver_move_on(Peer *p)
{
        Message *m, *next;

        DL_FOREACH_SAFE2(p->bound, m, next, link.next)
        {
                Queue *q = m->queue;

                if (delivery_state_is_ending(m->record.state) && peer_is_gone(p))
                        deliver_event(m, DELIVERY_GONE, "the receiver is gone");
                else if (may_move(m)) {
                        deliver_event(m, DELIVERY_UNBIND, "the receiver is not there");
                        if (!q->reading)
                                bind_queue(q);
                }
        }
}

void deliver_disconnected(Peer *p)
{
        Message *m, *next;

        DL_FOREACH_SAFE2(p->bound, m, next, link.next)
        {
                m->link.in_flight = false;
                if (m->record.state == DELIVERY_SENT)
                        deliver_event(m, DELIVERY_DISCONNECT, "the connection ended");
        }
        /* In order of binding again, before what was never written. */
        DL_FOREACH_SAFE2(p->ready, m, next, link.ready_next)
        {
                m->link.ready = false;
                DL_DELETE2(p->ready, m, link.ready_prev, link.ready_next);
        }
        DL_FOREACH2(p->bound, m, link.next)
        {
                if (m->record.state == DELIVERY_BOUND)
                        peer_ready(p, m);
        }
        deliver_move_on(p);
}
