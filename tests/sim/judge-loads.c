/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a client has after a start. */
#include "sim/judge-inside.h"

#include <utlist.h>

/* A final state on disk, of which nobody may have been told: the client may have ended before. */
static void loaded_final(Judge *j, JMessage *m, DeliveryState state)
{
        if (m->end != 0 && m->end != state && !message_is_excepted(m))
                breach(j, RULE_ENDED_IS_DURABLE, m, m->client,
                                "%s told callers that %s is %s, but after its restart it is %s",
                                text_process(m->client), text_message(m), text_state(m->end),
                                text_state(state));
        m->end = (uint8_t) state;
        m->end_durable = true;
        if (delivery_state_is_dead_letter(state) && !m->purge_asked)
                message_keep(m);
        else
                message_unkeep(m);
        message_over(j, m);
}

/* The client has taken it up again. An answer that it read before its end may be lost with its memory. */
static void loaded_open(Judge *j, JMessage *m, DeliveryState state)
{
        if (m->end != 0 && m->end_durable && !message_is_excepted(m))
                breach(j, RULE_ENDED_IS_DURABLE, m, m->client,
                                "%s told callers that %s is %s, and that this is on disk, but after its "
                                "restart it is %s",
                                text_process(m->client), text_message(m), text_state(m->end),
                                text_state(state));
        if (m->transient)
                breach(j, RULE_ENDED_IS_DURABLE, m, m->client,
                                "%s was accepted in memory only, but after its restart %s has it as %s",
                                text_message(m), text_process(m->client), text_state(state));
        streams_loaded_open(j, m);
        /* What was told since the start is newer than what was read. */
        if (m->end_start != m->client->starts)
                m->end = 0;
        for (JDelivery *d = m->fanout || !m->planned ? NULL : m->deliveries; d; d = d->next)
                if (d->told != 0 && d->told_start != m->client->starts) {
                        d->told = 0;
                        d->told_before = true;
                }
        message_held(j, m);
}

/* May have been removed: acked and cancelled messages are kept as history only, and nobody hears of the ack
 * of a bulk message whose program has left. */
static bool may_be_gone(const JMessage *m)
{
        bool told = false;

        for (const JDelivery *d = m->deliveries; d; d = d->next)
                told = told || d->told == OUTCOME_ACKED || d->told == OUTCOME_SETTLED;
        return told || m->cancel_asked || m->purge_asked || m->end == DELIVERY_ACKED ||
               m->end == DELIVERY_CANCELLED;
}

static void missing(Judge *j, JProcess *client, JMessage *m)
{
        const bool said = m->accepted > 0;

        message_unkeep(m);
        if (may_be_gone(m) || message_is_excepted(m)) {
                if (!may_be_gone(m) && client->damaged && !client->reported)
                        breach(j, RULE_LOSS_IS_REPORTED, m, client,
                                        "%s has lost %s after its disk was damaged at %s, and has not "
                                        "logged "
                                        "any problem",
                                        text_process(client), text_message(m),
                                        text_time(j, client->damaged));
                m->forgotten = true;
                m->end_durable = m->end != 0;
                message_over(j, m);
                return;
        }
        breach(j, said ? RULE_ACCEPTED_IS_DURABLE : RULE_NOTHING_BEFORE_ACCEPTED, m, client,
                        said ? "%s accepted %s at %s, and it had not ended (last: %s), but after its start "
                               "at "
                               "%s it does not have it"
                             : "%s sent %s before %s (last: %s), but after its start at %s it does not have "
                               "it",
                        text_process(client), text_message(m),
                        text_time(j, said ? m->accepted_at : j->o->at), m->end ? text_state(m->end) : "open",
                        text_time(j, j->o->at));
}

static void loaded(Judge *j, JProcess *client)
{
        JMessage *m, *next;

        DL_FOREACH_SAFE2(client->on_disk, m, next, kept_next)
        {
                if (m->loaded_start != client->starts)
                        missing(j, client, m);
        }
}

void loads_see(Judge *j, const Observation *o)
{
        JProcess *client = judge_process(j, o->process);

        /* A copy of a client has what the client has; it is not judged. */
        if (client->role != ROLE_CLIENT)
                return;
        if (o->kind == OBS_LOADED) {
                client->loaded = client->starts;
                loaded(j, client);
                return;
        }
        JMessage *m = judge_message_get(j, o->id, client, UINT64_MAX);
        const DeliveryState state = (DeliveryState) o->state;

        m->loaded_start = client->starts;
        m->was_bound = m->was_bound || state == DELIVERY_BOUND;
        m->n_revives = m->n_purges = 0;
        if (m->forgotten && !message_is_excepted(m) && !delivery_state_is_final(state))
                breach(j, RULE_ENDED_IS_DURABLE, m, client,
                                "%s did not have %s after an earlier start, but now it has it as %s",
                                text_process(client), text_message(m), text_state(state));
        m->forgotten = false;
        if (delivery_state_is_final(state))
                loaded_final(j, m, state);
        else
                loaded_open(j, m, state);
}
