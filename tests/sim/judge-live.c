/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Liveness and bounds. */
#include "sim/judge-duties.h"

#include <inttypes.h>
#include <stdio.h>
#include <syslog.h>
#include <utlist.h>

#define USEC_PER_MINUTE (60 * USEC_PER_SEC)

/* Everything ends. */

/* Its damaged state keeps it from starting: it says so, and ends, each time. Nothing is promised about
 * repair; an administrator has to look. */
static bool is_broken(const JProcess *p)
{
        return p->damaged > 0 && p->failed && (p->role != ROLE_RECEIVER || p->serving < p->starts);
}

static bool may_go_to(const Judge *j, const PlannedMessage *p, unsigned receiver)
{
        if (p->mode == SELECTOR_TO)
                return p->receiver == receiver;
        return p->group == 0 || p->group == j->plan->group_of_receiver[receiver];
}

/* It was sent, or an earlier start of its client may have sent it. What lies in the output when a connection
 * ends counts; of a bulk the client does not tell that. */
static bool may_be_sent(const JMessage *m)
{
        for (const JDelivery *d = m->deliveries; d; d = d->next)
                if (d->sent_at > 0)
                        return true;
        return m->on_wire || m->was_bound || m->planned->step->kind == STEP_BULK;
}

/* Callers address receivers by name. A message belongs to an id as soon as it is sent (docs/PROTOCOL.md,
 * "Which receiver gets a message"). Members of `all` and `quorum` are ids from the beginning. */
static bool may_go_elsewhere(const JMessage *m, const PlannedMessage *p)
{
        return !m->fanout && (p->mode != SELECTOR_TO || !may_be_sent(m));
}

/* One that belongs to an id waits for ever if its receiver may have lost that, and this is right. So does
 * one that no receiver can take, because none can start. While discovery cannot start, no receiver counts as
 * gone, so a message stays with a receiver that does not come back. */
static bool may_wait_for_ever(const Judge *j, const JMessage *m)
{
        const PlannedMessage *p = planned_message(m);
        const bool moves = p && may_go_elsewhere(m, p) && !is_broken(j->processes);
        bool taken = false;

        if (message_is_excepted(m) || !p)
                return true;
        for (unsigned i = 0; i < j->plan->n_receivers; i++) {
                const JProcess *r = j->processes + plan_process_of_receiver(j->plan, i);

                if (!may_go_to(j, p, i))
                        continue;
                if (!moves && (r->replaced > 0 || is_broken(r)))
                        return true;
                taken = taken || !is_broken(r);
        }
        return !taken;
}

/* Nobody hears of the ack of a bulk message whose program has left: what its client has read must do. */
static bool has_ended_quietly(const JMessage *m)
{
        const PlannedMessage *p = planned_message(m);
        unsigned acked = 0, open = 0;

        for (const JDelivery *d = m->deliveries; d; d = d->next) {
                acked += d->told == OUTCOME_ACKED || d->told == OUTCOME_SETTLED;
                open += d->told == 0;
        }
        if (m->fanout)
                return p && (p->mode == SELECTOR_QUORUM ? acked >= p->quorum : acked > 0 && open == 0);
        return acked > 0;
}

/* A delayed message has its patience from its start on. */
static uint64_t must_end_by(const Judge *j, const JMessage *m)
{
        const PlannedMessage *p = planned_message(m);
        const uint64_t start = p ? usec_add(m->accepted_at, p->delay_usec) : 0;

        return usec_add(MAX(j->faults_end, start), j->plan->patience_usec);
}

static void check_ends(Judge *j)
{
        const JMessage *m;

        if (j->faults_end == 0)
                return;
        DL_FOREACH2(j->open, m, open_next)
        {
                if (j->o->at < must_end_by(j, m) || may_wait_for_ever(j, m) || has_ended_quietly(m))
                        continue;
                const JDelivery *d = m->deliveries;
                breach(j, RULE_EVERYTHING_ENDS, m, m->client,
                                "%s has not ended %s, accepted at %s, although nothing is broken since %s; "
                                "attempts: %u, runs: %u, last at: %s",
                                text_process(m->client), text_message(m), text_time(j, m->accepted_at),
                                text_time(j, j->faults_end), m->attempt, m->n_runs,
                                d ? text_process(d->receiver->process) : "no receiver");
                return;
        }
}

/* Nobody starves. */

#define OVERTAKEN_MAX 256u

static JWaiting *waiting_of(JProcess *client, const PlannedMessage *p)
{
        const unsigned priority = MIN(p->priority, PRIORITIES - 1);

        if (p->mode == SELECTOR_TO)
                return &client->waiting_to[p->receiver % RECEIVERS_MAX][priority];
        return p->mode == SELECTOR_ANY ? &client->waiting_any[p->group % GROUPS][priority] : NULL;
}

/* Messages to several are driven as their members, and those of one key wait for each other: they are not
 * judged here. Nor are delayed ones. */
void live_accepted(Judge *j, JMessage *m)
{
        const PlannedMessage *p = planned_message(m);
        JWaiting *w = p && p->delay_usec == 0 && !m->on_wire ? waiting_of(m->client, p) : NULL;

        if (!w)
                return;
        m->waits_in = w;
        m->n_overtaken = 0;
        DL_APPEND2(w->first, m, waits_prev, waits_next);
}

void live_over(JMessage *m)
{
        if (!m->waits_in)
                return;
        DL_DELETE2(m->waits_in->first, m, waits_prev, waits_next);
        m->waits_in = NULL;
}

/* The client reads what one program writes to its socket in order, and single calls. Of two that write in
 * bulk it may read the one or the other first. */
static bool is_read_in_order(const JMessage *m, const JMessage *by)
{
        return m->planned && by->planned &&
               (m->planned->step == by->planned->step ||
                               (m->planned->step->kind != STEP_BULK &&
                                               by->planned->step->kind != STEP_BULK));
}

/* A message with an idempotency key is accepted later than one that was submitted after it. */
static bool is_older(const JMessage *m, const JMessage *by)
{
        const uint64_t accepted = m->reported > 0 ? MIN(m->reported, m->accepted) : m->accepted;

        return m->accepted < by->accepted &&
               (is_read_in_order(m, by) ? m->submitted : accepted) <= by->submitted;
}

static void overtake(Judge *j, const JWaiting *w, const JMessage *by, const JConnection *c)
{
        JMessage *m = w->first;

        if (!m || m == by || !is_older(m, by) || message_is_excepted(m))
                return;
        /* A receiver that it is bound to may be silent as long as this. */
        if (j->o->at - MAX(m->accepted_at, m->client->started_at) < client_ack_timeout(j, m->client))
                return;
        if (++m->n_overtaken > OVERTAKEN_MAX)
                breach(j, RULE_NOBODY_STARVES, m, m->client,
                                "%s has sent %u messages that are not more urgent than %s and were accepted "
                                "later to receivers that could have taken it; it waits since %s; the last "
                                "was "
                                "%s to %s",
                                text_process(m->client), m->n_overtaken, text_message(m),
                                text_time(j, m->accepted_at), text_message(by), text_process(c->to));
}

/* `m` goes to this receiver: all that wait for it, or for any of its group, and are not less urgent, were
 * overtaken if they are older. The oldest of each kind stands for all. */
static void overtake_all(Judge *j, const JMessage *m, const JConnection *c)
{
        const PlannedMessage *p = planned_message(m);
        const unsigned receiver = c->to->number % RECEIVERS_MAX;
        const unsigned group = j->plan->group_of_receiver[receiver] % GROUPS;

        if (!p || m->accepted == 0)
                return;
        /* What any may get goes to receivers that discovery lists. */
        const bool listed = c->receiver && is_known(j, c->from, c->receiver, j->o->since);
        for (unsigned i = MIN(p->priority, PRIORITIES - 1); i < PRIORITIES; i++) {
                overtake(j, &m->client->waiting_to[receiver][i], m, c);
                if (!listed)
                        continue;
                overtake(j, &m->client->waiting_any[0][i], m, c);
                if (group > 0)
                        overtake(j, &m->client->waiting_any[group][i], m, c);
        }
}

/* Bounds of what is repeated. */

#define SENDS_PER_MINUTE 120u
#define OPENS_PER_MINUTE 700u /* pauses between connects are 50 ms on the average at first */
#define BUSY_PER_SECOND  400u

/* The copy closes the streams of the original, and with them its connections, again and again. */
static bool has_copy(const Judge *j, const JProcess *client)
{
        for (unsigned i = 0; i < J_PROCESSES_MAX; i++)
                if (j->processes[i].original == client && j->processes[i].up)
                        return true;
        return false;
}

/* Without any answer a message is sent once in each ack timeout. These sends have their bound in that, and
 * do not count here. The kernel may take one of them later than the next, so not all of the time must be
 * over. */
void live_count_send(Judge *j, JMessage *m, const JDelivery *d, const JConnection *c)
{
        const uint64_t minute = j->o->at / USEC_PER_MINUTE;

        if (d->last_written_at > 0 && j->o->at - d->last_written_at >= client_ack_timeout(j, c->from) / 2)
                return;
        if (j->copied && has_copy(j, c->from))
                return;
        if (m->minute != minute)
                m->minute = minute, m->n_sends = 0;
        /* Each member is sent for itself. */
        if (++m->n_sends > SENDS_PER_MINUTE * (m->fanout ? RECEIVERS_MAX : 1))
                breach(j, RULE_RETRIES_ARE_BOUNDED, m, c->from,
                                "%s has sent %s %u times in one minute, now to %s", text_process(c->from),
                                text_message(m), m->n_sends, text_process(c->to));
}

void live_sent(Judge *j, JMessage *m, JConnection *c, bool first)
{
        live_over(m);
        if (first)
                overtake_all(j, m, c);
}

void live_busy(Judge *j, JConnection *c)
{
        const uint64_t second = j->o->at / USEC_PER_SEC;

        if (c->second != second)
                c->second = second, c->n_busy = 0;
        if (++c->n_busy > BUSY_PER_SECOND)
                breach(j, RULE_NO_STORMS, NULL, c->from,
                                "%s has got %" PRIu64 " answers busy from %s on connection %" PRIu64
                                " within one second",
                                text_process(c->from), c->n_busy, text_process(c->to), c->number);
}

void live_opened(Judge *j, JConnection *c)
{
        JOpens *n = &j->opens[process_index(c->from->process)][process_index(c->to->process)];
        const uint64_t minute = j->o->at / USEC_PER_MINUTE;

        n->last = c;
        if (n->minute != minute)
                n->minute = minute, n->n = 0;
        if (++n->n > OPENS_PER_MINUTE)
                breach(j, RULE_NO_STORMS, NULL, c->from, "%s has connected to %s %u times in one minute",
                                text_process(c->from), text_process(c->to), n->n);
}

#define LINES_PER_MINUTE  2000u
#define LINES_PER_MESSAGE 20u /* and per run */

void live_run(JProcess *p)
{
        p->n_events++;
}

static void count_line(Judge *j, const Observation *o, JProcess *p)
{
        const uint64_t minute = o->at / USEC_PER_MINUTE;
        unsigned number;

        /* That it was not written to its end is no loss: what was not synced was not accepted. But without
           power, the note that the last block was synced may be lost, too. */
        if (o->number <= LOG_WARNING && o->text && strstr(o->text, "damaged") &&
                        (p->restored || !strstr(o->text, "was not written to its end")))
                p->reported = true;
        if (o->number <= LOG_WARNING && strstr(o->text, "The reply to message") &&
                        strstr(o->text, "out of memory"))
                p->cut_replies = true;
        if (p->role == ROLE_CLIENT && o->text && strstr(o->text, "is it frozen?") &&
                        sscanf(o->text, "Receiver r%u", &number) == 1)
                p->silent = number + 1;
        if (p->minute != minute)
                p->minute = minute, p->n_lines = p->n_events = 0;
        p->n_lines += !o->flagged;
        if (p->n_lines > LINES_PER_MINUTE + LINES_PER_MESSAGE * p->n_events)
                breach(j, RULE_LOG_IS_BOUNDED, NULL, p,
                                "%s has logged %" PRIu64 " lines in one minute, with %" PRIu64
                                " messages; the last: %s",
                                text_process(p), p->n_lines, p->n_events, o->text ? o->text : "");
}

/* State. */

/* Streams that a receiver at rest may remember: those of the present starts of the clients, and those that
 * hold something open. */
static uint64_t count_streams(const JReceiver *r)
{
        uint64_t n = 0;

        for (const JStream *s = r->streams; s; s = s->next)
                n += s->used && !s->pruned && (s->first_start == s->client->starts || s->n_known > 0);
        return n;
}

/* The client has had time to announce what is settled, and to close what it does not need any more. A
 * connection that has ended does not come back before the client knows that discovery lists the receiver:
 * that news may take long. */
#define ANNOUNCED_USEC (10 * USEC_PER_SEC)

static bool has_announced(const Judge *j, const JProcess *client, const JProcess *receiver)
{
        const JConnection *c =
                        j->opens[process_index(client->process)][process_index(receiver->process)].last;

        return client->marked == 0 &&
               (!c || (c->welcomed && c->from_start == client->starts &&
                                      client->down_at > c->opened_at + ANNOUNCED_USEC &&
                                      (!c->closed || client->down_at < c->closed_at + ANNOUNCED_USEC)));
}

/* Everything has ended, and there was time to announce it. What a client forgot when its state was restored,
 * it cannot announce. */
static void check_rest(Judge *j, const Observation *o, const JProcess *p)
{
        const JReceiver *r = p->identity;

        if (j->n_open > 0 || j->faults_end == 0)
                return;
        for (unsigned i = 0; i < j->plan->n_clients; i++)
                if (!has_announced(j, j->processes + plan_process_of_client(j->plan, i), p))
                        return;
        if (o->number > r->n_known)
                breach(j, RULE_DEDUP_IS_BOUNDED, NULL, p,
                                "%s has %" PRIu64 " outcomes on disk at the end, but only %" PRIu64
                                " of its messages are not settled",
                                text_process(p), o->number, r->n_known);
        else if (o->sequence > count_streams(r))
                breach(j, RULE_DEDUP_IS_BOUNDED, NULL, p,
                                "%s has %" PRIu64 " streams on disk at the end, but only %" PRIu64
                                " are in use",
                                text_process(p), o->sequence, count_streams(r));
}

/* All that was answered as final, and that no sender has announced as settled, is in the records. Those of a
 * receiver that died may be in its redo log only, until its next start. */
static void check_dedup(Judge *j, const Observation *o, const JProcess *p)
{
        const JReceiver *r = p->identity;

        if (!r || p->role != ROLE_RECEIVER || p->marked > 0 || p->died || r->told_by_copy)
                return;
        if (o->number < r->n_recorded)
                breach(j, RULE_ACKED_MEANS_RECORDED, NULL, p,
                                "%s has answered %" PRIu64 " final outcomes that are not settled, but it "
                                "remembers only %" PRIu64,
                                text_process(p), r->n_recorded, o->number);
        check_rest(j, o, p);
}

#define REST_OBJECTS     50000u
#define REST_DESCRIPTORS 200u

static void check_memory(Judge *j, const Observation *o, const JProcess *p)
{
        if (j->n_open > 0 || j->faults_end == 0)
                return;
        if (o->number > REST_OBJECTS || o->attempt > REST_DESCRIPTORS)
                breach(j, RULE_MEMORY_IS_BOUNDED, NULL, p,
                                "%s is at rest, but it has %" PRIu64 " objects, %" PRIu64
                                " bytes and %u descriptors",
                                text_process(p), o->number, o->sequence, o->attempt);
}

void live_see(Judge *j, const Observation *o)
{
        JProcess *p = judge_process(j, o->process);

        switch (o->kind) {
        case OBS_FAULTS_END:
                j->faults_end = o->at;
                calm_faults_end(j);
                break;
        case OBS_LOG:
                if (p) {
                        count_line(j, o, p);
                        times_log(j, o, p);
                        duties_log(j, o, p);
                }
                break;
        case OBS_DEDUP:
                check_dedup(j, o, p);
                break;
        case OBS_MEMORY:
                check_memory(j, o, p);
                break;
        default:
                check_ends(j);
        }
}
