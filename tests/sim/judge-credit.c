/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages that are unanswered on a connection. A message counts from the first MESSAGE until an answer
 * other than `working`, until the ack timeout (then the attempt is over), or until CANCEL is asked. */
#include "sim/judge-inside.h"

#include <utlist.h>

void flight_end(JDelivery *d)
{
        JConnection *c = d->flight;

        if (!c)
                return;
        d->flight = NULL;
        DL_DELETE2(c->flight, d, flight_prev, flight_next);
        c->n_flight--;
}

/* The oldest is at the front. */
void flight_begin(const Judge *j, JDelivery *d, JConnection *c)
{
        flight_end(d);
        d->flight = c;
        d->flight_at = j->o->at;
        DL_APPEND2(c->flight, d, flight_prev, flight_next);
        c->n_flight++;
}

/* `working` restarts the timer of the attempt. */
void flight_goes_on(const Judge *j, JDelivery *d, JConnection *c)
{
        if (d->flight == c)
                flight_begin(j, d, c);
}

/* A reload may make the ack timeout half as long. */
uint64_t client_ack_timeout(const Judge *j, const JProcess *client)
{
        return client->reloaded ? j->plan->ack_timeout_usec / 2 : j->plan->ack_timeout_usec;
}

static void drop_expired(const Judge *j, JConnection *c)
{
        while (c->flight && j->o->at - c->flight->flight_at >= client_ack_timeout(j, c->from))
                flight_end(c->flight);
}

/* Messages may be in the client's output when their credit is taken away, so a smaller credit counts only
 * after a while. */
#define GRACE_USEC (2 * USEC_PER_SEC)

void credit_read(const Judge *j, JConnection *c, uint32_t credit)
{
        const bool over = j->o->at - c->credit_at > GRACE_USEC;

        c->credit_before = over ? c->credit : MAX(c->credit, c->credit_before);
        c->credit_at = j->o->at;
        c->credit = credit;
}

static uint32_t limit(const Judge *j, const JConnection *c)
{
        const bool over = j->o->at - c->credit_at > GRACE_USEC;

        return MAX(over ? c->credit : MAX(c->credit, c->credit_before), 1u);
}

void credit_check(Judge *j, const JMessage *m, JConnection *c, const JDelivery *d)
{
        if (d->flight == c || c->n_flight < limit(j, c))
                return;
        drop_expired(j, c);
        if (c->n_flight >= limit(j, c))
                breach(j, RULE_CREDIT_IS_KEPT, m, c->from,
                                "%s sends %s to %s while %u messages are unanswered on connection %llu, but "
                                "its credit is %u",
                                text_process(c->from), text_message(m), text_process(c->to), c->n_flight,
                                (unsigned long long) c->number, c->credit);
}
