/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/state/attempts.h"

#include <stdio.h>
#include <utlist.h>

#include "base/str-util.h"

/* How a try ended that was on the wire. NULL: it goes on, or it ended well. */
static const char *const sent_words[_DELIVERY_EVENT_MAX] = {
                [DELIVERY_ANSWER_REJECTED] = "rejected",
                [DELIVERY_ANSWER_FAILED] = "failed",
                [DELIVERY_ANSWER_BUSY] = "busy",
                [DELIVERY_ANSWER_CONFLICT] = "conflict",
                [DELIVERY_ANSWER_CANCELLED] = "cancelled",
                [DELIVERY_TIMEOUT] = "no-ack",
                [DELIVERY_DISCONNECT] = "disconnected",
                [DELIVERY_CANCEL] = "cancelling",
                [DELIVERY_GIVE_UP] = "giving-up",
};

static void add(Message *m, const char *outcome, uint32_t attempt, const char *detail)
{
        OutboxAttempt *a = calloc(1, sizeof *a);
        unsigned n;

        if (!a)
                return;
        a->member = m->record.member;
        a->attempt = attempt;
        a->sent_usec = m->record.sent_usec;
        a->ended_usec = loop_now(m->client->loop, CLOCK_REALTIME);
        (void) snprintf(a->receiver_name, sizeof a->receiver_name, "%s", m->record.receiver_name);
        (void) snprintf(a->outcome, sizeof a->outcome, "%s", outcome);
        (void) str_replace(&a->detail, detail);
        LL_APPEND(m->attempts, a);
        /* With a disk that does not take them they must not pile up. */
        LL_COUNT(m->attempts, a, n);
        if (n <= ATTEMPTS_KEPT)
                return;
        a = m->attempts;
        LL_DELETE(m->attempts, a);
        a->next = NULL;
        outbox_attempts_free(a);
}

void attempts_note(
                Message *m, DeliveryState before, DeliveryEvent event, uint32_t attempt, const char *detail)
{
        if (event == DELIVERY_UNBIND)
                add(m, "moved", attempt, detail);
        else if (event == DELIVERY_WRITE)
                m->record.sent_usec = loop_now(m->client->loop, CLOCK_REALTIME);
        else if (before == DELIVERY_SENT && sent_words[event])
                add(m, sent_words[event], attempt, detail);
}

OutboxAttempt *attempts_take(Message *m)
{
        OutboxAttempt *attempts = m->attempts;

        m->attempts = NULL;
        return attempts;
}

void attempts_give_back(Message *m, OutboxAttempt *attempts)
{
        LL_CONCAT(attempts, m->attempts);
        m->attempts = attempts;
}
