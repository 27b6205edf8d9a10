/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Order per key, for each client. */
#include "sim/judge-inside.h"

/* It failed, or its receiver is gone and may have begun it. */
static bool is_last_attempt_over(const PlannedMessage *p, const JDelivery *d)
{
        return p->max_attempts > 0 &&
               (d->failed_told || (d->attempt >= p->max_attempts && d->sent_on->closed));
}

/* It holds up no other message of its key any more. Ended, as far as its client knows (or knew before a
 * crash); or perhaps ended, in a way that nobody has been told yet: cancelled, past its deadline, out of
 * attempts. Or it never was in the way: it was delayed (it joins its key when it is due), somebody has
 * retried it (its place is gone), or it was lost with the memory of the client. */
static bool is_over(const Judge *j, const JMessage *m)
{
        const PlannedMessage *p = planned_message(m);

        if (m->end != 0 || m->lost || m->forgotten || m->cancel_asked || m->revived ||
                        message_is_excepted(m))
                return true;
        if (p->delay_usec > 0 || p->deadline_usec > 0)
                return true;
        for (const JDelivery *d = m->deliveries; d; d = d->next)
                if (d->told != 0 || d->told_before || is_last_attempt_over(p, d))
                        return true;
        return false;
}

/* A caller may read late that a message is accepted, or be told only when it repeats the submission. */
static uint64_t accepted_number(const JMessage *m)
{
        return m->reported > 0 ? MIN(m->reported, m->accepted) : m->accepted;
}

/* Acceptance of two messages whose submissions overlapped has no order that anybody could see, except in one
 * bulk, which is numbered; but a program that repeats a submission gives it a later number. */
static bool is_before(const JMessage *a, const JMessage *b)
{
        if (a->planned && b->planned && a->planned->step == b->planned->step && a->planned->n_submitted == 1)
                return a->planned->offset < b->planned->offset;
        return a->accepted > 0 && b->submitted > 0 && accepted_number(a) < b->submitted;
}

/* In the order of acceptance. */
void keys_accepted(Judge *j, JMessage *m)
{
        JKey *k = m->key;
        JMessage **at;

        if (!k || m->key_listed)
                return;
        m->key_listed = true;
        /* Nearly always it is the last one. */
        at = k->last && accepted_number(k->last) < accepted_number(m) ? &k->last->key_next : &k->first;
        while (*at && accepted_number(*at) < accepted_number(m))
                at = &(*at)->key_next;
        m->key_next = *at;
        *at = m;
        if (!m->key_next)
                k->last = m;
}

/* The last message of the key that was on the wire must be over before another one goes. It does not count
 * when its binding was given up (its receiver is gone): then it goes again, in its place. */
static void check_alone(Judge *j, const JKey *k, const JMessage *m)
{
        const JMessage *before = k->current;

        if (!before || before == m || is_over(j, before) || before->moved)
                return;
        breach(j, RULE_ORDER_PER_KEY, m, m->client,
                        "%s sends %s while %s of the same key is on its way and has not ended",
                        text_process(m->client), text_message(m), text_message(before));
}

/* All messages that were accepted before it must be over. */
static void check_order(Judge *j, JKey *k, const JMessage *m)
{
        while (k->first && is_over(j, k->first))
                k->first = k->first->key_next;
        if (!k->first)
                k->last = NULL;
        if (!k->first || k->first == m || !is_before(k->first, m))
                return;
        breach(j, RULE_ORDER_PER_KEY, m, m->client,
                        "%s sends %s before %s, which has the same key, was accepted earlier (at %s), and "
                        "has "
                        "not ended",
                        text_process(m->client), text_message(m), text_message(k->first),
                        text_time(j, k->first->accepted_at));
}

/* An old frame may leave the output of a connection late, so a message that is over is not looked at. */
void keys_sent(Judge *j, JMessage *m)
{
        JKey *k = m->key;

        if (!k || is_over(j, m))
                return;
        check_alone(j, k, m);
        check_order(j, k, m);
        k->current = m;
}
