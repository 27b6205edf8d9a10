/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/judge-inside.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The comments at the checks say what is excepted. */
static const Rule rules[_RULE_MAX] = {
                [RULE_ACCEPTED_IS_DURABLE] = {"accepted-is-durable",
                                "After each start a client has every message that it accepted and that has "
                                "not ended, and every dead letter."},
                [RULE_ENDED_IS_DURABLE] = {"ended-is-durable", "An end that callers were told, and that is "
                                                               "on disk, is still the end after a "
                                                               "restart."},
                [RULE_LOSS_IS_REPORTED] = {"loss-is-reported",
                                "What a damaged disk makes a client lose is reported in the log."},
                [RULE_NOTHING_BEFORE_ACCEPTED] = {"nothing-before-accepted",
                                "A message that was on the wire is on the client's disk."},
                [RULE_NOTHING_IS_INVENTED] = {"nothing-is-invented",
                                "A client has no more messages than were submitted."},
                [RULE_ONE_SUBMISSION_ONE_MESSAGE] = {"one-submission-one-message",
                                "A submission becomes one message at most."},
                [RULE_IDEMPOTENT] = {"idempotent",
                                "Submissions with one idempotency key at one client are one message."},
                [RULE_REFUSED_BY_DISK_IS_NOT_RUN] = {"refused-by-disk-is-not-run",
                                "A submission that was refused because of the disk never runs."},
                [RULE_REFUSED_IS_NOT_RUN] = {"refused-is-not-run", "A refused submission never runs."},
                [RULE_ONE_END] = {"one-end", "A message has one end, unless it is retried."},
                [RULE_ACKED_MEANS_RUN] = {"acked-means-run",
                                "A message is acked only after a handler has finished it."},
                [RULE_ACKED_MEANS_RECORDED] = {"acked-means-recorded",
                                "A message is acked only after its receiver has recorded and answered "
                                "that."},
                [RULE_REJECTED_MEANS_RUN] = {"rejected-means-run",
                                "A message is rejected only if a handler has rejected it."},
                [RULE_CANCELLED_WAS_ASKED] = {"cancelled-was-asked",
                                "A message ends as cancelled only if somebody asked for it."},
                [RULE_DEAD_IS_JUSTIFIED] = {"dead-is-justified",
                                "A message dies only of its deadline, its last attempt, or members that "
                                "failed."},
                [RULE_ASKED_BEFORE_END] = {"asked-before-end", "A message that may run ends as rejected, "
                                                               "cancelled or dead only after its receiver "
                                                               "has answered, or is gone."},
                [RULE_QUORUM_COUNTS] = {"quorum-counts",
                                "A quorum of K is acked when K receivers have processed it."},
                [RULE_ALL_COUNTS] = {"all-counts", "A message to all is acked when every receiver that got "
                                                   "it has processed it."},
                [RULE_PROCESSED_ONCE] = {"processed-once",
                                "A receiver processes a message once, except across its crash or after a "
                                "failure, and then it says so to the handler."},
                [RULE_FLAGGED] = {"flagged",
                                "A run that may be a repetition has the possible-duplicate flag."},
                [RULE_RUN_WAS_ASKED] = {"run-was-asked",
                                "A handler runs only for a message that its receiver has read."},
                [RULE_PAYLOAD_IS_INTACT] = {"payload-is-intact",
                                "A handler gets the payload that was submitted."},
                [RULE_FAILED_IS_RECORDED] = {"failed-is-recorded", "An attempt that failed is answered from "
                                                                   "the record, and does not run again."},
                [RULE_NO_OVERLAP] = {"no-overlap", "At one receiver, one run of a message begins only after "
                                                   "the last one ended."},
                [RULE_EFFECT_IN_RUN] = {"effect-in-run",
                                "Nothing of a handler has an effect after its run, or after its receiver, "
                                "ended."},
                [RULE_NO_RUN_AFTER_ACK] = {"no-run-after-ack",
                                "After its receiver has answered acked or rejected, a message does not run "
                                "there."},
                [RULE_NO_RUN_AFTER_CANCELLED] = {"no-run-after-cancelled",
                                "After its receiver has answered cancelled, a message does not run there."},
                [RULE_NO_RUN_AFTER_SETTLED] = {"no-run-after-settled",
                                "After its receiver has read that it is settled, a message does not run "
                                "there."},
                [RULE_ENDED_IS_NOT_SENT] = {"ended-is-not-sent",
                                "A message that has ended is not sent to another receiver, nor on another "
                                "connection."},
                [RULE_SENDER_FLAGS] = {"sender-flags",
                                "A send has the possible-duplicate flag unless it is certainly the first."},
                [RULE_FAILOVER_ONLY_WHEN_GONE] = {"failover-only-when-gone",
                                "A message that may have started moves only when the connection to its "
                                "receiver is gone; a message to a certain receiver never moves."},
                [RULE_ORDER_PER_KEY] = {"order-per-key",
                                "Messages of one key go one after the other, in the order of acceptance."},
                [RULE_SEQUENCE_IS_UNIQUE] = {"sequence-is-unique",
                                "A sequence of a stream is one message; a stream has one sender, one "
                                "receiver, "
                                "and one start that gives out sequences."},
                [RULE_SETTLED_IS_FINAL] = {"settled-is-final",
                                "What is announced as settled is not sent any more."},
                [RULE_SETTLED_IS_ENDED] = {"settled-is-ended", "Only what has ended (or moved), and is so "
                                                               "on disk, is announced as settled."},
                [RULE_CREDIT_IS_KEPT] = {"credit-is-kept",
                                "A client has no more messages unanswered than its credit, or one."},
                [RULE_WINDOW_IS_KEPT] = {"window-is-kept", "A client sends no sequence beyond the window "
                                                           "above the announced low mark."},
                [RULE_HELLO_FIRST] = {"hello-first",
                                "A client sends nothing but HELLO before the expected receiver's WELCOME."},
                [RULE_GOODBYE_IS_RESPECTED] = {"goodbye-is-respected",
                                "After its GOODBYE a client sends no message on that connection."},
                [RULE_WIRE_IS_FRAMES] = {"wire-is-frames", "Only frames are on the wire."},
                [RULE_ATTEMPTS_GROW] = {"attempts-grow", "Attempts are numbered upwards; a higher number "
                                                         "needs a failure or a missing "
                                                         "ack."},
                [RULE_ANSWER_FOR_ASKED] = {"answer-for-asked", "A receiver answers only what it was asked."},
                [RULE_ANSWER_IS_TRUE] = {"answer-is-true",
                                "An answer says what has happened to the message at that receiver."},
                [RULE_REPLY_IS_INTACT] = {"reply-is-intact",
                                "An ack carries the reply that a handler of this message has written."},
                [RULE_NO_CONFLICT] = {"no-conflict", "No two messages meet under one sequence."},
                [RULE_EVERYTHING_ENDS] = {"everything-ends",
                                "When nothing is broken any more, every message ends in time."},
                [RULE_NOBODY_STARVES] = {"nobody-starves",
                                "No message is overtaken by many later ones that are not more urgent."},
                [RULE_URGENT_FIRST] = {"urgent-first",
                                "A message does not wait while its receiver begins many of lower priority."},
                [RULE_DEATHS_ARE_CHARGED] = {"deaths-are-charged",
                                "A run during which its receiver died counts as an attempt."},
                [RULE_FROZEN_IS_FOUND] = {"frozen-is-found", "A message to any does not wait for a frozen "
                                                             "receiver while another one could take it."},
                [RULE_RETRIES_ARE_BOUNDED] = {"retries-are-bounded",
                                "A message is sent at most 120 times in a minute, besides once in each ack "
                                "timeout."},
                [RULE_NO_STORMS] = {"no-storms",
                                "Connections are not opened, and messages not refused, over and over."},
                [RULE_LOG_IS_BOUNDED] = {"log-is-bounded",
                                "A process logs at most 2000 lines in a minute, and some for each message."},
                [RULE_CONCURRENCY_IS_KEPT] = {"concurrency-is-kept",
                                "A receiver runs no more handlers at once than its concurrency."},
                [RULE_CREDIT_IS_COVERED] = {"credit-is-covered", "The credit of all connections of a "
                                                                 "receiver is at most its concurrency plus "
                                                                 "its queue."},
                [RULE_GREETING_IS_ASKED] = {"greeting-is-asked",
                                "A receiver greets only clients that look for its id."},
                [RULE_STOP_IS_ORDERLY] = {"stop-is-orderly",
                                "A receiver that is told to stop finishes what runs and answers everything, "
                                "within the time that it has."},
                [RULE_DRAIN_IS_KEPT] = {"drain-is-kept",
                                "A draining receiver begins nothing new until somebody resumes it."},
                [RULE_NOT_BEFORE_START] = {"not-before-start",
                                "A delayed message is not sent before its start."},
                [RULE_DEADLINE_IS_KEPT] = {"deadline-is-kept", "A message is not sent after its deadline."},
                [RULE_WORKING_IS_TOLD] = {"working-is-told",
                                "While a handler runs and nothing is broken, the ack timeout does not end."},
                [RULE_WAIT_ENDS_WITH_CONNECTION] = {"wait-ends-with-connection",
                                "What was unanswered on a connection is sent again on the next one, first."},
                [RULE_PAUSES_GROW] = {"pauses-grow",
                                "The pauses between failed attempts, and between refusals, grow."},
                [RULE_TURNS_ARE_KEPT] = {"turns-are-kept", "A place that becomes free is offered to the "
                                                           "client that was refused first, and that takes "
                                                           "it at once."},
                [RULE_QUEUE_IS_GIVEN_BACK] = {"queue-is-given-back",
                                "What waits while all handlers are busy goes back to its client."},
                [RULE_SUSPECTS_RUN_ALONE] = {"suspects-run-alone", "A message during which its receiver "
                                                                   "died runs alone when it comes again."},
                [RULE_ID_IS_UNIQUE] = {"id-is-unique",
                                "A copy of a living receiver does not serve under its id, and a copy of a "
                                "client has an id of its own."},
                [RULE_LEASE_IS_WHOLE] = {"lease-is-whole",
                                "Discovery drops nobody within one lease of its start."},
                [RULE_DEDUP_IS_BOUNDED] = {"dedup-is-bounded",
                                "A receiver remembers exactly what is recorded and not settled."},
                [RULE_MEMORY_IS_BOUNDED] = {"memory-is-bounded",
                                "A process at rest has little memory and few descriptors."},
};

const Rule *judge_rules(size_t *ret_n)
{
        *ret_n = ELEMENTSOF(rules);
        return rules;
}

static void disable(Judge *j, const char *names)
{
        for (size_t i = 0; i < _RULE_MAX; i++) {
                const size_t n = strlen(rules[i].name);
                for (const char *s = names; s && *s; s += strcspn(s, ","), s += *s == ',')
                        if (strcspn(s, ",") == n && strncmp(s, rules[i].name, n) == 0)
                                j->disabled[i] = true;
        }
}

static void index_plan(Judge *j)
{
        const Plan *p = j->plan;

        j->planned = calloc(MAX(p->n_messages, 1u), sizeof *j->planned);
        assert(j->planned);
        for (size_t i = 0; i < p->n_steps; i++) {
                const Step *s = p->steps + i;
                j->polls_may_hang |= s->kind == STEP_LOSE_ANSWERS || s->kind == STEP_PARTITION;
                const uint32_t n = s->kind == STEP_SEND ? 1 : s->kind == STEP_BULK ? s->b : 0;
                for (uint32_t k = 0; k < n; k++) {
                        assert(s->message.number + k < p->n_messages);
                        j->planned[s->message.number + k] = (JPlanned){.step = s, .offset = k};
                }
        }
}

Judge *judge_new(const Plan *plan, const char *disabled)
{
        Judge *j = calloc(1, sizeof *j);

        assert(j);
        j->plan = plan;
        disable(j, disabled);
        index_plan(j);
        return j;
}

Judge *judge_free(Judge *j)
{
        if (!j)
                return NULL;
        Index *const all[] = {&j->messages, &j->receivers, &j->streams, &j->connections, &j->runs, &j->keys,
                        &j->idempotent};

        judge_free_streams(j);
        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                index_clear(all[i]);
        for (char *chunk = j->chunk, *before; chunk; chunk = before) {
                memcpy(&before, chunk, sizeof before);
                free(chunk);
        }
        free(j->planned);
        free(j);
        return NULL;
}

static bool rule_is_on(const Judge *j, RuleId rule)
{
        return !j->disabled[rule] && !j->verdict.rule;
}

void breach(Judge *j, RuleId rule, const JMessage *m, const JProcess *p, const char *format, ...)
{
        Verdict *v = &j->verdict;
        va_list ap;

        if (!rule_is_on(j, rule))
                return;
        v->rule = rules[rule].name;
        v->at = j->o->at;
        v->id = m ? m->id : SD_ID128_NULL;
        v->process = p ? p->process : NULL;
        va_start(ap, format);
        (void) vsnprintf(v->text, sizeof v->text, format, ap);
        va_end(ap);
}

static void (*const handlers[_OBS_MAX])(Judge *j, const Observation *o) = {
                [OBS_STEP] = steps_see,
                [OBS_FAULTS_END] = live_see,
                [OBS_START] = steps_see,
                [OBS_EXIT] = steps_see,
                [OBS_KILL] = steps_see,
                [OBS_POWER_OFF] = fair_lost_power,
                [OBS_LOG] = live_see,
                [OBS_SUBMIT] = messages_see,
                [OBS_ACCEPT] = messages_see,
                [OBS_REFUSE] = messages_see,
                [OBS_LOSE_CALLER] = messages_see,
                [OBS_CANCEL] = messages_see,
                [OBS_REVIVE] = messages_see,
                [OBS_PURGE] = messages_see,
                [OBS_MESSAGE_EVENT] = ends_see,
                [OBS_END] = ends_see,
                [OBS_LOAD] = loads_see,
                [OBS_LOADED] = loads_see,
                [OBS_RUN] = runs_see,
                [OBS_EFFECT] = runs_see,
                [OBS_RUN_END] = runs_see,
                [OBS_RUN_MISSED] = runs_see,
                [OBS_OPEN] = wire_see,
                [OBS_WRITE] = wire_see,
                [OBS_DELIVER] = wire_see,
                [OBS_CLOSE] = wire_see,
                [OBS_GARBAGE] = wire_see,
                [OBS_DEDUP] = live_see,
                [OBS_MEMORY] = live_see,
                [OBS_OVER] = live_see,
};

bool judge_see(Judge *j, const Observation *o)
{
        HOST_SCOPE;

        assert(o->kind < _OBS_MAX);
        if (j->verdict.rule)
                return false;
        if (j->begin == 0)
                j->begin = o->at;
        j->o = o;
        if (handlers[o->kind])
                handlers[o->kind](j, o);
        return !j->verdict.rule;
}

const Verdict *judge_verdict(const Judge *j)
{
        return &j->verdict;
}

bool judge_is_satisfied(const Judge *j)
{
        return j->n_open == 0;
}
