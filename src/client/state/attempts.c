/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/state/attempts.h"

#include <stdio.h>
#include <utlist.h>

#include "base/str-util.h"
#include "client/state/events.h"

static void add(Message *m, MessageEvent outcome, uint32_t attempt, const char *detail)
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
        (void) snprintf(a->outcome, sizeof a->outcome, "%s", message_event_to_string(outcome));
        (void) str_replace(&a->detail, detail);
        LL_APPEND(m->attempts, a);
        /* If the disk fails, attempts must not pile up. */
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
        if (event == DELIVERY_UNBIND || (event == DELIVERY_GONE && before == DELIVERY_BOUND))
                add(m, EVENT_MOVED, attempt, detail);
        else if (event == DELIVERY_WRITE)
                m->record.sent_usec = loop_now(m->client->loop, CLOCK_REALTIME);
        else if (before == DELIVERY_SENT && event_of_attempt(event) >= 0)
                add(m, (MessageEvent) event_of_attempt(event), attempt, detail);
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
