/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starts, deadlines, ack timeouts, leases. */
#include "sim/judge-duties.h"

#include <stdio.h>
#include <string.h>

/* The loop of a client may have read its clock so long before a submission. */
#define START_SLACK_USEC (100 * USEC_PER_MSEC)

/* The wall clock of the client decides. A message that somebody retries has no start and no deadline. A bulk
 * submission takes its times when its stream is opened. */
static void check_start(Judge *j, const JMessage *m, const PlannedMessage *p)
{
        const Step *s = m->planned->step;
        const uint64_t from = s->kind == STEP_BULK ? j->begin + s->at : m->planned->first_at;

        if (p->delay_usec > 0 && j->o->at + START_SLACK_USEC < from + p->delay_usec)
                breach(j, RULE_NOT_BEFORE_START, m, m->client, "%s sends %s, which was to start at %s",
                                text_process(m->client), text_message(m),
                                text_time(j, from + p->delay_usec));
}

/* A client looks at its clock every 5 s, and reads what is due from its disk. After a deadline it asks to
 * cancel. Members that were sent finish, when the whole has ended. */
static void check_deadline(Judge *j, const JMessage *m, const PlannedMessage *p, const JConnection *c)
{
        const uint64_t reading = 20 * (j->plan->sync_max_usec + j->plan->write_max_usec);
        const uint64_t deadline = m->planned->last_at + p->deadline_usec;
        const uint64_t known =
                        usec_add(MAX(deadline, c->from->disturbed_until), 10 * USEC_PER_SEC + reading);

        if (p->deadline_usec > 0 && m->end == 0 && j->o->since > known)
                breach(j, RULE_DEADLINE_IS_KEPT, m, m->client,
                                "%s sends %s to %s, but its deadline was at %s", text_process(m->client),
                                text_message(m), text_process(c->to), text_time(j, deadline));
}

/* `working` comes three times within the ack timeout, if the network is much quicker than that. So while a
 * handler runs and nothing is broken, no attempt ends without an answer. The client gave up when it handed
 * the next attempt to its connection: the frame may stay there for long, behind a large message. */
static void check_working(Judge *j, const JMessage *m, const JDelivery *d, const JConnection *c)
{
        const uint64_t timeout = client_ack_timeout(j, c->from);
        const JRun *r = d->run;

        if (j->o->frame->message.attempt <= d->attempt || d->failed_told || d->sent_on != c || !r ||
                        r->ended || r->process != c->to || r->start != c->to->starts)
                return;
        if (j->disturbed_until < r->began_at && j->stalled_until < c->opened_at &&
                        j->o->since > usec_add(r->began_at, timeout) && 12 * j->plan->net_max_usec < timeout)
                breach(j, RULE_WORKING_IS_TOLD, m, c->to,
                                "%s sends attempt %u of %s to %s, which has run it since %s and has not "
                                "said so "
                                "within the ack timeout, although nothing is broken since %s",
                                text_process(c->from), j->o->frame->message.attempt, text_message(m),
                                text_process(c->to), text_time(j, r->began_at),
                                text_time(j, j->disturbed_until));
}

void times_sent(Judge *j, const JMessage *m, const JDelivery *d, const JConnection *c)
{
        const PlannedMessage *p = planned_message(m);

        if (p && m->accepted > 0 && !m->revived && !clock_was_set(j, m->client)) {
                check_start(j, m, p);
                check_deadline(j, m, p, c);
        }
        check_working(j, m, d, c);
        duties_check_new(j, m, d, c);
}

/* Only the log of discovery says whom it lists. */

static JProcess *find_receiver(Judge *j, const char *text)
{
        unsigned number;

        if (sscanf(text, "Receiver r%u ", &number) != 1 || number >= j->plan->n_receivers)
                return NULL;
        return j->processes + plan_process_of_receiver(j->plan, number);
}

/* Nobody's lease is shorter than a whole one, so nobody's ends within one lease of a start. */
static void check_lease(Judge *j, const Observation *o, const JProcess *discovery)
{
        const uint64_t lease = discovery->reloaded ? j->plan->lease_usec / 2 : j->plan->lease_usec;

        if (o->at - discovery->started_at < lease)
                breach(j, RULE_LEASE_IS_WHOLE, NULL, discovery, "%s was started at %s, and says already: %s",
                                text_process(discovery), text_time(j, discovery->started_at), o->text);
}

/* Clients know it, too, if nothing kept the news from them. A client whose long poll gets no answer waits
 * for so long. */
#define POLL_USEC (80 * USEC_PER_SEC)

static uint64_t news_usec(const Judge *j)
{
        return 2 * USEC_PER_SEC + 20 * (j->plan->net_max_usec + j->plan->sync_max_usec);
}

/* A machine without power does not end its connections. */
void times_lost_power(Judge *j, unsigned machine)
{
        if (machine == j->plan->machine_of_discovery)
                j->polls_hang_until = usec_add(j->o->at, POLL_USEC);
}

/* From then on no long poll hangs. */
static uint64_t polls_from(const Judge *j)
{
        const uint64_t stalled = usec_add(j->stalled_until, j->polls_may_hang ? POLL_USEC : 0);

        return MAX(stalled, j->polls_hang_until);
}

/* What is listed when a receiver registers or a client starts is news to clients until then; and that a
 * receiver does not drain any more, when it ends to drain. */
void times_news(const Judge *j, JProcess *p)
{
        const uint64_t from = MAX(j->o->at, p->to_drain_until);

        p->news_until = usec_add(MAX(from, polls_from(j)), news_usec(j));
}

void times_stalled(Judge *j)
{
        for (unsigned i = 0; i < plan_n_processes(j->plan); i++)
                if (j->processes[i].news_until > j->o->at)
                        times_news(j, j->processes + i);
}

void times_log(Judge *j, const Observation *o, const JProcess *p)
{
        JProcess *receiver = p->role == ROLE_DISCOVERY && o->text ? find_receiver(j, o->text) : NULL;

        if (!receiver)
                return;
        if (strstr(o->text, "has registered"))
                receiver->listed_at = o->at, times_news(j, receiver);
        else if (strstr(o->text, "is gone: no heartbeat")) {
                check_lease(j, o, p);
                receiver->listed_at = 0;
        } else if (strstr(o->text, "has left"))
                receiver->listed_at = 0;
}

bool is_listed(const Judge *j, const JReceiver *r)
{
        const uint64_t since = r->process ? r->process->listed_at : 0;

        return since > 0 && r->process->identity == r && r->process->replaced == 0 &&
               j->processes[0].started_at < since && polls_from(j) < since &&
               since + news_usec(j) < j->o->at;
}

bool is_known(const Judge *j, const JProcess *client, const JReceiver *r, uint64_t at)
{
        const JProcess *p = r->process;

        /* A discovery that starts again may have lost it. */
        return p && p->listed_at > j->processes[0].started_at && p->identity == r && p->replaced == 0 &&
               at >= p->news_until && at >= client->news_until;
}
