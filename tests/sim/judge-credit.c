/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages that are unanswered on a connection. A message counts from the first MESSAGE until an answer
 * other than `working`, or until the ack timeout (then the attempt is over). All of this is judged as of the
 * time when the client handed the frame to its connection: the kernel may take it later. */
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

static void begin_at(JDelivery *d, JConnection *c, uint64_t at)
{
        flight_end(d);
        d->flight = c;
        d->flight_at = at;
        DL_APPEND2(c->flight, d, flight_prev, flight_next);
        c->n_flight++;
}

void flight_begin(const Judge *j, JDelivery *d, JConnection *c)
{
        begin_at(d, c, j->o->since);
}

/* A reload may make the ack timeout half as long. */
uint64_t client_ack_timeout(const Judge *j, const JProcess *client)
{
        return client->reloaded ? j->plan->ack_timeout_usec / 2 : j->plan->ack_timeout_usec;
}

static bool is_expired(const Judge *j, const JDelivery *d, uint64_t at)
{
        return at >= usec_add(d->flight_at, client_ack_timeout(j, d->flight->from));
}

/* `working` restarts the timer of the attempt. An attempt that is over stays so; whoever asks for the end
 * only does not care. */
void flight_goes_on(const Judge *j, JDelivery *d, JConnection *c)
{
        if (d->flight != c || d->ending)
                return;
        if (is_expired(j, d, j->o->at))
                flight_end(d);
        else
                begin_at(d, c, j->o->at);
}

static void drop_expired(const Judge *j, JConnection *c)
{
        JDelivery *d, *next;

        DL_FOREACH_SAFE2(c->flight, d, next, flight_next)
        {
                if (is_expired(j, d, j->o->since))
                        flight_end(d);
        }
}

/* So long a frame may lie in the output of its connection. It was handed over with the credit of that time.
 */
#define GRACE_USEC (60 * USEC_PER_SEC)

void credit_read(const Judge *j, JConnection *c, uint32_t credit)
{
        const bool over = j->o->at - c->credit_at > GRACE_USEC;

        c->credit_before = over ? c->credit : MAX(c->credit, c->credit_before);
        c->credit_at = j->o->at;
        c->credit = credit;
}

static uint32_t limit(const Judge *j, const JConnection *c)
{
        const bool knew = j->o->since > c->credit_at;

        return MAX(knew ? c->credit : MAX(c->credit, c->credit_before), 1u);
}

void credit_check(Judge *j, const JMessage *m, JConnection *c, const JDelivery *d)
{
        if (c->n_flight < limit(j, c))
                return;
        drop_expired(j, c);
        if (d->flight != c && c->n_flight >= limit(j, c))
                breach(j, RULE_CREDIT_IS_KEPT, m, c->from,
                                "%s sends %s to %s while %u messages are unanswered on connection %llu, but "
                                "its credit is %u",
                                text_process(c->from), text_message(m), text_process(c->to), c->n_flight,
                                (unsigned long long) c->number, c->credit);
}
