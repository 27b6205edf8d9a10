/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What callers ask a client for: acceptance, refusal, cancel, retry, purge. */
#include "sim/judge-inside.h"

#include <string.h>
#include <utlist.h>

/* The list of what must be on the client's disk; of messages in memory only, the list of what must be in its
 * memory. */
void message_keep(JMessage *m)
{
        JProcess *c = m->client;

        if (m->kept || m->forgotten)
                return;
        m->kept = true;
        m->kept_in_memory = m->transient && m->end == 0;
        if (m->kept_in_memory)
                DL_APPEND2(c->in_memory, m, kept_prev, kept_next);
        else
                DL_APPEND2(c->on_disk, m, kept_prev, kept_next);
}

void message_unkeep(JMessage *m)
{
        JProcess *c = m->client;

        if (!m->kept)
                return;
        m->kept = false;
        if (m->kept_in_memory)
                DL_DELETE2(c->in_memory, m, kept_prev, kept_next);
        else
                DL_DELETE2(c->on_disk, m, kept_prev, kept_next);
}

static void message_open(Judge *j, JMessage *m)
{
        if (m->counted)
                return;
        m->counted = true;
        DL_APPEND2(j->open, m, open_prev, open_next);
        j->n_open++;
}

void message_over(Judge *j, JMessage *m)
{
        live_over(m);
        if (!m->counted)
                return;
        m->counted = false;
        DL_DELETE2(j->open, m, open_prev, open_next);
        j->n_open--;
}

/* The client has it: from now on it must keep it, and it must end. */
void message_held(Judge *j, JMessage *m)
{
        if (m->end != 0 || m->lost || m->forgotten)
                return;
        message_keep(m);
        message_open(j, m);
}

/* A key is known for an hour after the end, by CLOCK_REALTIME, unless the message is purged. So keys of a
 * machine whose clock was set are not judged. */
static void check_idempotent(Judge *j, JMessage *m, const JPlanned *planned)
{
        const unsigned number = planned ? planned_idempotency(planned) : 0;

        if (number == 0)
                return;
        JIdempotent *k = judge_idempotent(j, m->client, number);
        const JMessage *before = k->message;
        const bool known = before && before != m && !message_is_excepted(before) && !before->purge_asked &&
                           j->o->at - k->at < KEYS_KEPT_USEC && !clock_was_set(j, m->client);

        if (known)
                breach(j, RULE_IDEMPOTENT, m, m->client,
                                "%s accepted %s under an idempotency key that belongs to %s, which it "
                                "accepted at %s",
                                text_process(m->client), text_message(m), text_message(before),
                                text_time(j, k->at));
        if (before != m) {
                k->message = m;
                k->at = j->o->at;
        }
}

/* Acceptance may be seen late, when the program reads it: the client may have ended meanwhile. */
static void accepted(Judge *j, const Observation *o, JProcess *client)
{
        JPlanned *planned = judge_planned(j, o->message);
        const bool is_new = o->detail == 0;
        JMessage *m = is_new ? judge_message_get(j, o->id, client, o->message) : judge_message(j, o->id);

        if (!m)
                m = judge_message_get(j, o->id, client, UINT64_MAX);
        check_idempotent(j, m, planned);
        if (m->accepted > 0)
                return;
        m->accepted = o->index;
        m->accepted_at = o->at;
        if (m->transient && (!client->up || (planned && planned->last_submitted < client->started))) {
                m->lost = true;
                return;
        }
        if (m->end != 0)
                return;
        message_held(j, m);
        keys_accepted(j, m);
        live_accepted(j, m);
        fair_accepted(j, m);
}

static void submit(Judge *j, const Observation *o, JProcess *client)
{
        JPlanned *planned = judge_planned(j, o->message);

        client->n_submitted++;
        if (!planned)
                return;
        planned->n_submitted++;
        planned->last_submitted = o->index;
        planned->last_at = o->at;
        if (planned->n_submitted == 1) {
                planned->submitted = o->index;
                planned->first_at = o->at;
        }
}

/* UnderWay says that the message of an earlier submission is on its way: it may run. */
static void refuse(Judge *j, const Observation *o, const JProcess *client)
{
        JPlanned *planned = judge_planned(j, o->message);
        unsigned machine = j->plan->machine_of_client[client->number] % MACHINES_MAX;

        if (!planned || (o->text && strstr(o->text, "UnderWay")))
                return;
        planned->n_refused++;
        planned->n_refused_by_disk += o->text && strstr(o->text, "Storage");
        planned->unerased |= o->at < j->disk_fails_until[machine];
}

/* Retries of dead letters. The request may fail yet: unrevive(). After a crash the next start tells. */
static void revive(Judge *j, JMessage *m)
{
        m->n_revives++;
        if (!delivery_state_is_dead_letter((DeliveryState) m->end))
                return;
        m->unrevived = m->end;
        m->unrevived_durable = m->end_durable;
        m->past_ends |= (uint16_t) (1u << m->end);
        m->end = 0;
        m->end_durable = false;
        m->revived = true;
        m->revived_number = j->o->index;
        m->n_members_failed = 0;
        for (JDelivery *d = m->deliveries; d; d = d->next)
                if (!m->fanout || d->told != OUTCOME_ACKED) {
                        d->told = 0;
                        d->given_up = true;
                        d->ending = false;
                        d->n_sends_before = d->n_sends;
                }
        message_held(j, m);
}

static void unrevive(Judge *j, JMessage *m)
{
        m->n_revives -= m->n_revives > 0;
        if (m->end != 0 || m->unrevived == 0 || m->n_revives > 0)
                return;
        m->end = m->unrevived;
        m->end_durable = m->unrevived_durable;
        m->unrevived = 0;
        message_over(j, m);
        if (m->end_durable)
                message_keep(m);
}

static void purge(JMessage *m)
{
        m->n_purges++;
        m->purge_asked = true;
        message_unkeep(m);
}

static void unpurge(JMessage *m)
{
        m->n_purges -= m->n_purges > 0;
        if (m->n_purges > 0)
                return;
        m->purge_asked = false;
        if (m->end_durable && delivery_state_is_dead_letter((DeliveryState) m->end))
                message_keep(m);
}

/* `detail` 1: the answer. A request counts from the moment when it is made, because its consequences may be
 * seen before the answer. */
static void request(Judge *j, const Observation *o, JProcess *client)
{
        /* Its program may not have read yet that it is accepted. */
        JMessage *m = judge_message_get(j, o->id, client, UINT64_MAX);
        const bool refused = o->detail == 1 && o->number != 0, asked = o->detail == 0 && o->number == 0;

        if (o->kind == OBS_CANCEL)
                m->cancel_asked = true;
        else if (o->kind == OBS_REVIVE && asked)
                revive(j, m);
        else if (o->kind == OBS_REVIVE && refused)
                unrevive(j, m);
        else if (o->kind == OBS_REVIVE)
                m->unrevived = m->n_revives = 0;
        else if (o->kind == OBS_PURGE && asked)
                purge(m);
        else if (o->kind == OBS_PURGE && refused)
                unpurge(m);
        else if (o->kind == OBS_PURGE)
                message_unkeep(m);
}

void messages_see(Judge *j, const Observation *o)
{
        JProcess *client = judge_process(j, o->process);

        switch (o->kind) {
        case OBS_SUBMIT:
                submit(j, o, client);
                break;
        case OBS_ACCEPT:
                accepted(j, o, client);
                break;
        case OBS_REFUSE:
                refuse(j, o, client);
                break;
        case OBS_LOSE_CALLER:
                break;
        default:
                request(j, o, client);
        }
}
