/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages to several receivers: all, quorum. */
#include "sim/judge-inside.h"

static unsigned count_done(const JMessage *m)
{
        unsigned n = 0;

        for (const JDelivery *d = m->deliveries; d; d = d->next)
                n += d->n_done > 0 && (d->ever_answered & (1u << OUTCOME_ACKED));
        return n;
}

/* Which receivers matched at acceptance only the client knows. So of a message to all the judge knows those
 * members that were on the wire; at least these must have processed it, and at least one. */
static void check_all(Judge *j, const JMessage *m)
{
        const JDelivery *d = m->deliveries;

        while (d && (d->first_written == 0 || d->n_done > 0))
                d = d->next;
        if (d)
                breach(j, RULE_ALL_COUNTS, m, m->client,
                                "%s says that %s is acked by all, but %s (%s) got it and has not processed "
                                "it",
                                text_process(m->client), text_message(m), text_process(d->receiver->process),
                                text_id(d->receiver->id));
        else if (count_done(m) == 0)
                breach(j, RULE_ALL_COUNTS, m, m->client,
                                "%s says that %s is acked by all, but nobody has processed it",
                                text_process(m->client), text_message(m));
}

void fanout_acked(Judge *j, const JMessage *m)
{
        const PlannedMessage *p = planned_message(m);

        if (!p)
                return;
        if (p->mode == SELECTOR_ALL)
                check_all(j, m);
        else if (count_done(m) < p->quorum)
                breach(j, RULE_QUORUM_COUNTS, m, m->client,
                                "%s says that a quorum of %u has acked %s, but only %u receivers have "
                                "processed it and answered that",
                                text_process(m->client), p->quorum, text_message(m), count_done(m));
}

void fanout_dead(Judge *j, const JMessage *m)
{
        const PlannedMessage *p = planned_message(m);

        if (p->mode == SELECTOR_QUORUM && m->n_members_acked >= p->quorum)
                breach(j, RULE_QUORUM_COUNTS, m, m->client,
                                "%s gave up %s, but %u receivers have acked it, and %u are enough",
                                text_process(m->client), text_message(m), m->n_members_acked, p->quorum);
        else if (m->n_members_failed == 0 && m->known_start == m->client->starts)
                breach(j, RULE_DEAD_IS_JUSTIFIED, m, m->client,
                                "%s gave up %s, but none of its members has failed", text_process(m->client),
                                text_message(m));
}
