/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/engine/deliver.h"

#include <errno.h>
#include <stdio.h>

#include "base/crash-point.h"
#include "base/random-pool.h"
#include "base/str-util.h"
#include "client/engine/backlog.h"
#include "client/engine/bind.h"
#include "client/engine/due.h"
#include "client/engine/save.h"
#include "client/link/connection.h"
#include "client/link/pause.h"
#include "client/state/attempts.h"
#include "client/state/events.h"
#include "client/state/message.h"
#include "client/state/peer.h"

#define READ_AGAIN_USEC USEC_PER_SEC /* pause after a failed read of a payload */
#define CUT_TEXT_MAX    64u

/* Quiet messages do not report these steps to the observer. */
static const bool routine[_DELIVERY_EVENT_MAX] = {
                [DELIVERY_BIND] = true,
                [DELIVERY_WRITE] = true,
                [DELIVERY_ANSWER_BUSY] = true,
                [DELIVERY_ANSWER_WORKING] = true,
};

static void arm_retry(Message *m, DeliveryEvent event, uint64_t hint_usec)
{
        Policy policy = message_policy(m);
        const Backoff backoff_failed = {policy.backoff_usec, policy.backoff_max_usec};
        uint64_t random = random_u64(), usec = 0;

        m->failures++;
        /* There is no pause after a timeout: the client has waited already. */
        if (event == DELIVERY_ANSWER_FAILED)
                usec = backoff_delay(&backoff_failed, m->failures, random);
        else if (event == DELIVERY_ANSWER_BUSY)
                usec = backoff_delay(&BACKOFF_REFUSED, m->failures, random);
        due_arm(m, MAX(usec, hint_usec));
}

static void settle(Message *m, DeliveryState before)
{
        Client *c = m->client;
        bool dead_letter = delivery_state_is_dead_letter(m->record.state);

        due_disarm(m);
        if ((m->link.sends > 0 &&
                            (m->record.state == DELIVERY_ACKED || m->record.state == DELIVERY_REJECTED)) ||
                        (m->cut_short && m->record.state == DELIVERY_CANCELLED)) {
                m->record.attempts++;
                c->messages.n_attempts++;
        }
        /* A retry must know that the message may have been started. Its attempts show that; without
         * attempts, this flag shows it. */
        if (m->link.sends > 0 && m->record.attempts == 0 && dead_letter)
                m->record.duplicate = true;
        if (!m->link.peer && m->queue && before == DELIVERY_QUEUED)
                backlog_take(m->queue, m);
        bind_end(m);
        message_leave_queue(m);
        if (!message_must_be_persisted(m))
                message_drop_payload(m);
        m->record.settled_usec = loop_now(c->loop, CLOCK_REALTIME);
        m->record.wake_usec = 0;
        if (message_is_member(m))
                return;
        c->messages.n_open--;
        c->messages.n_dead += dead_letter;
        c->messages.n_settled++;
}

static void drop_binding(Message *m)
{
        due_disarm(m);
        if (m->link.sends > 0)
                m->record.duplicate = true;
        bind_drop(m);
}

static void note_failure(Message *m, const char *detail)
{
        m->record.attempts++;
        peer_attempt_ended(m);
        m->client->messages.n_attempts++;
        (void) str_replace(&m->record.error, detail);
}

static void report(Message *m, DeliveryEvent event, uint32_t attempt, const char *detail)
{
        Client *c = m->client;
        int told;

        /* deliver_settled() reports an end, when it is on disk. */
        if (delivery_state_is_final(m->record.state) || (m->record.quiet && routine[event]))
                return;
        told = event_of_step(m, event);
        if (told >= 0)
                c->observer.message_event(
                                m, (MessageEvent) told, attempt, detail ?: "", c->observer.userdata);
        message_changed(m);
}

void deliver_ask(Message *m)
{
        if (delivery_state_is_ending(m->save.state))
                peer_write_cancel(m->link.peer, m);
        due_arm(m, message_policy(m).ack_timeout_usec);
}

void deliver_ending_saved(Message *m)
{
        if (delivery_state_is_ending(m->record.state) && m->link.peer)
                deliver_ask(m);
}

/* Does the actions of a step. Returns true if the message must be saved. */
static bool act(Message *m, DeliveryState before, DeliveryEvent event, unsigned actions, const char *detail,
                uint64_t hint_usec)
{
        if (actions & DELIVERY_CHARGE)
                note_failure(m, detail);
        if (actions & DELIVERY_ARM_ACK)
                due_arm(m, message_policy(m).ack_timeout_usec);
        if (actions & DELIVERY_ARM_RETRY)
                arm_retry(m, event, hint_usec);
        /* The whole of a message to several receivers has no receiver; its members ask theirs. */
        if ((actions & DELIVERY_ASK_CANCEL) && m->link.peer)
                deliver_ask(m);
        if (actions & DELIVERY_SETTLE)
                settle(m, before);
        if (actions & DELIVERY_DROP_BINDING)
                drop_binding(m);
        return actions & (DELIVERY_CHARGE | DELIVERY_SETTLE | DELIVERY_DROP_BINDING | DELIVERY_ASK_CANCEL);
}

/* After the last allowed attempt, a failure makes the message a dead letter. */
static DeliveryEvent count_out(const Message *m, DeliveryEvent event)
{
        uint64_t max = message_policy(m).max_attempts;

        if (max == 0 || m->record.attempts + UINT64_C(1) < max)
                return event;
        return event == DELIVERY_ANSWER_FAILED || event == DELIVERY_GONE ? DELIVERY_EXHAUSTED
               : event == DELIVERY_TIMEOUT                               ? DELIVERY_GIVE_UP
                                                                         : event;
}

/* The wish to end a message does not answer it: it takes credit until its receiver answers, or its attempt
 * is over. */
static bool ends_waiting(DeliveryEvent event)
{
        static const bool goes_on[_DELIVERY_EVENT_MAX] = {
                        [DELIVERY_WRITE] = true,
                        [DELIVERY_ANSWER_WORKING] = true,
                        [DELIVERY_CANCEL] = true,
                        [DELIVERY_GIVE_UP] = true,
        };

        return !goes_on[event];
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
        if (before == DELIVERY_SENT && event == DELIVERY_CANCEL)
                m->cut_short = true;
        peer_note_state(m, before);
        if (m->link.peer && ends_waiting(event))
                peer_answered(m);
        attempts_note(m, before, event, attempt, detail);
        bool save = act(m, before, event, step.actions, detail, hint_usec);
        report(m, event, attempt, detail);
        if (m->record.state == DELIVERY_ACKED && m->bind.window)
                m->client->ended(m, false);
        if (save || m->attempts)
                message_save(m);
        if (event != DELIVERY_BIND)
                message_drop_large_payload(m);
        if (m->record.state == DELIVERY_BOUND && event != DELIVERY_DISCONNECT)
                peer_ready(m);
        else if (delivery_state_is_ending(m->record.state) && m->link.peer)
                peer_unready(m); /* only a question about it may go to its receiver */
        /* The next message of the key may go now. */
        if (next && delivery_state_is_final(m->record.state))
                bind_queue(next);
}

void deliver_event(Message *m, DeliveryEvent event, const char *detail)
{
        handle(m, event, detail, 0);
}

void deliver_settled(Message *m)
{
        Client *c = m->client;
        Peer *p = m->bind.window ? m->bind.window->peer : peer_find(c, m->record.receiver);
        bool acked = m->record.state == DELIVERY_ACKED;
        char cut[CUT_TEXT_MAX] = "";

        if (m->record.reply_cut)
                (void) snprintf(cut, sizeof cut, "the reply is cut to %zu bytes", m->record.reply_size);
        crash_point("settled-before-telling");
        bind_settle(m);
        if (!m->record.quiet || !acked || m->record.attempts > 1 || m->record.reply_cut)
                c->observer.message_event(m, event_of_end(m), m->record.attempts,
                                acked ? cut : m->record.error ?: "", c->observer.userdata);
        message_changed(m);
        c->ended(m, true);
        if (p)
                peer_note_room(p);
}

void deliver_too_large(Message *m, uint32_t limit)
{
        _cleanup_free_ char *text = str_format("the receiver takes at most %" PRIu32 " bytes", limit);

        (void) str_replace(&m->record.error, text);
        deliver_event(m, DELIVERY_ANSWER_REJECTED, text);
}

void deliver_unreadable(Message *m, int r)
{
        if (m->record.state != DELIVERY_BOUND)
                return;
        if (r == -ENOENT || r == -EUCLEAN)
                deliver_give_up(m, "its payload is not in the outbox any more");
        else
                due_arm(m, READ_AGAIN_USEC);
}

/* The message is acked, even without memory for its reply. */
static void keep_reply(Message *m, const AnswerFrame *a)
{
        void *reply = a->data.size > 0 ? malloc(a->data.size) : NULL;

        free(m->record.reply);
        m->record.reply = reply;
        m->record.reply_size = reply ? a->data.size : 0;
        m->record.reply_cut = (a->flags & ANSWER_CUT) || m->record.reply_size < a->data.size;
        if (reply)
                memcpy(reply, a->data.data, a->data.size);
}

/* A message to a name waits for it until it is sent. Then it belongs to that receiver for ever. */
static bool may_leave_holder(const Message *m)
{
        const Peer *p = m->link.peer;

        if (m->link.sends > 0 || m->bind.earlier)
                return false;
        return p->info.draining || !(p->info.plain || peer_is_connected(p)) ||
               peer_find_holder(m->client, m->queue->selector.name) != p;
}

bool deliver_may_move(const Message *m)
{
        const Peer *p = m->link.peer;

        if (m->bind.pending || !m->queue)
                return false;
        if (m->queue->selector.name)
                return may_leave_holder(m);
        if (m->queue->selector.mode == SELECTOR_KEY)
                return peer_is_gone(p) || (p->info.draining && message_never_started(m));
        if (m->queue->selector.mode != SELECTOR_ANY)
                return false;
        /* It may move if it was never sent, or if its receiver is gone and cannot answer. */
        return message_never_started(m) || peer_is_gone(p);
}

bool deliver_may_be_given_back(const Message *m)
{
        return m->queue && !m->bind.pending && message_never_started(m);
}

void deliver_answer(Message *m, const AnswerFrame *a)
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
        _cleanup_free_ char *text = NULL;
        Peer *p = m->link.peer;

        if (a->outcome == OUTCOME_ACKED)
                keep_reply(m, a);
        else if (a->outcome == OUTCOME_CONFLICT)
                text = strdup("the receiver has another message under this sequence");
        else
                text = str_printable(a->data.data, a->data.size, ERROR_TEXT_MAX);
        if (a->outcome == OUTCOME_REJECTED)
                (void) str_replace(&m->record.error, text);
        /* BUSY means that the receiver did not start it. After only one send, the message was never started
         * at all. */
        if (a->outcome == OUTCOME_BUSY && m->link.sends == 1 && m->record.state == DELIVERY_SENT)
                peer_not_started(m);
        if (a->outcome == OUTCOME_WORKING && !str_empty(text))
                (void) str_replace(&m->progress, text);
        if (p && a->outcome != OUTCOME_BUSY)
                pause_answered(p, m, a->outcome != OUTCOME_WORKING);
        else if (p)
                pause_begin(p, a->delay_ms * USEC_PER_MSEC);
        crash_point("answer-before-settling");
        handle(m, events[a->outcome], text, a->delay_ms * USEC_PER_MSEC);
}

void deliver_cancel(Message *m)
{
        static const char text[] = "cancelled by the sender";

        if (delivery_state_is_final(m->record.state))
                return;
        if (m->record.state == DELIVERY_CANCELLING)
                message_save(m);
        deliver_event(m, message_never_started(m) ? DELIVERY_CANCEL_UNSENT : DELIVERY_CANCEL, text);
        /* A receiver of plain text cannot be asked. */
        if (m->record.state == DELIVERY_CANCELLING && !m->bind.window)
                deliver_event(m, DELIVERY_GONE, text);
}

void deliver_give_up(Message *m, const char *why)
{
        if (delivery_state_is_final(m->record.state) || delivery_state_is_ending(m->record.state))
                return;
        (void) str_replace(&m->record.error, why);
        m->record.wake_usec = 0;
        deliver_event(m, message_never_started(m) ? DELIVERY_GIVE_UP_UNSENT : DELIVERY_GIVE_UP, why);
        if (m->record.state == DELIVERY_GIVING_UP && !m->bind.window)
                deliver_event(m, DELIVERY_GONE, why);
}

static void queue_again(Message *m)
{
        message_save(m);
        backlog_give_back(m->queue, m);
        bind_queue(m->queue);
}

void deliver_start(Message *m)
{
        if (m->record.state != DELIVERY_DELAYED)
                return;
        m->record.wake_usec = message_is_member(m) ? 0 : m->record.policy.deadline_usec;
        deliver_event(m, DELIVERY_DUE, "its start time has come");
        queue_again(m);
}

int deliver_revive(Message *m)
{
        Client *c = m->client;
        int r = message_enter_queue(m);

        if (r < 0)
                return r;
        /* It gets all attempts again, and no deadline. */
        m->record.duplicate |= m->record.attempts > 0;
        m->record.attempts = 0;
        m->record.quiet = false; /* somebody looks at it */
        m->record.wake_usec = m->record.settled_usec = 0;
        m->record.receiver = m->record.stream = SD_ID128_NULL;
        m->record.sequence = 0;
        m->failures = 0;
        c->messages.n_open += !message_is_member(m);
        c->messages.n_dead -= !message_is_member(m);
        deliver_event(m, DELIVERY_REVIVE, "tried again");
        queue_again(m);
        return 0;
}
