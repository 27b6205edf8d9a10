/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Callers, handlers, restarts. */
#include "judge-cases.h"

#include <syslog.h>

#include "base/time-util.h"
#include "judge-history.h"

/* From acceptance to the answer that c0 has read. */
static void deliver(unsigned message, uint64_t sequence)
{
        accept_message(message);
        send_message(0, message, sequence, 1, false);
        do_run(R0, 1, message, sequence, 1, false);
        answer(0, message, sequence, 1, OUTCOME_ACKED);
}

static void accepted_is_durable(bool bad)
{
        accept_message(TO_R0);
        kill_process(C0);
        start(C0);
        if (!bad)
                load(TO_R0, DELIVERY_QUEUED);
        loaded();
}

/* It has been told as acked, so it may have gone. */
static void acked_may_be_gone(bool bad)
{
        open_connection(0, 5);
        deliver(TO_R0, 1);
        if (!bad)
                end_message(TO_R0, DELIVERY_ACKED, false);
        else { /* dead letters stay */
                accept_message(TWO_ATTEMPTS);
                no_ack(0, TWO_ATTEMPTS, 1);
                send_message(0, TWO_ATTEMPTS, 2, 2, false);
                close_connection(0);
                end_message(TWO_ATTEMPTS, DELIVERY_DEAD, true);
        }
        kill_process(C0);
        start(C0);
        loaded();
}

static void ended_is_durable(bool bad)
{
        open_connection(0, 5);
        deliver(TO_R0, 1);
        end_message(TO_R0, DELIVERY_ACKED, bad);
        kill_process(C0);
        start(C0);
        load(TO_R0, DELIVERY_BOUND);
        loaded();
}

static void loss_is_reported(bool bad)
{
        accept_message(TO_R0);
        step(STEP_FLIP, C0);
        kill_process(C0);
        start(C0);
        warn_text(C0, bad ? "Power was lost during a write, or the disk has damaged it: outbox.db.redo was "
                            "not "
                            "written to its end"
                          : "The state is damaged, and records are lost: 1 batches of outbox.db.redo");
        loaded();
}

static void nothing_before_accepted(bool bad)
{
        open_connection(0, 5);
        submit(TO_R0);
        if (bad)
                send_message(0, TO_R0, 1, 1, false);
        kill_process(C0);
        start(C0);
        loaded();
}

static void nothing_is_invented(bool bad)
{
        if (!bad)
                submit(TO_R0_AGAIN);
        load(TO_R0, DELIVERY_QUEUED);
}

static void one_submission_one_message(bool bad)
{
        accept_message(TO_R0);
        if (bad)
                submit(ANY); /* another one, so that only the number tells */
        else
                submit(TO_R0);
        accept_as(TO_R0, TO_R0_AGAIN);
}

static void idempotent(bool bad)
{
        accept_message(IDEMPOTENT);
        submit(IDEMPOTENT_AGAIN);
        accept_as(IDEMPOTENT_AGAIN, bad ? IDEMPOTENT_AGAIN : IDEMPOTENT);
}

static void refused_is_not_run(bool bad)
{
        open_connection(0, 5);
        submit(TO_R0);
        refuse(TO_R0);
        if (!bad)
                submit(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        begin_run(R0, 1, TO_R0, 1, 1, false);
}

static void refused_by_disk_is_not_run(bool bad)
{
        open_connection(0, 5);
        submit(TO_R0);
        if (!bad)
                step_for(STEP_DISK_ERROR, 1, USEC_PER_SEC); /* of its machine */
        refuse_as(TO_R0, "Storage");
        send_message(0, TO_R0, 1, 1, false);
        begin_run(R0, 1, TO_R0, 1, 1, false);
}

static void one_end(bool bad)
{
        open_connection(0, 5);
        deliver(TO_R0, 1);
        end_message(TO_R0, DELIVERY_ACKED, false);
        end_message(TO_R0, bad ? DELIVERY_DEAD : DELIVERY_ACKED, true);
}

static void acked_means_run(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        begin_run(R0, 1, TO_R0, 1, 1, false);
        effect(1);
        end_run(1, bad ? RUN_FAILED : RUN_DONE);
        if (!bad)
                answer(0, TO_R0, 1, 1, OUTCOME_ACKED);
        end_message(TO_R0, DELIVERY_ACKED, false);
}

static void acked_means_recorded(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        do_run(R0, 1, TO_R0, 1, 1, false);
        if (!bad)
                answer(0, TO_R0, 1, 1, OUTCOME_ACKED);
        end_message(TO_R0, DELIVERY_ACKED, true);
}

static void acked_is_remembered(bool bad)
{
        open_connection(0, 5);
        deliver(TO_R0, 1);
        observe_dedup(R0, bad ? 0 : 1, 1);
}

/* The client settles sequence 1 before it was sent, loses that with its disk, and sends it after all. */
static void acked_is_remembered_until_settled(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        settled(0, bad ? 1 : 2, false);
        step(STEP_FLIP, C0);
        send_message(0, TO_R0, 1, 1, true);
        do_run(R0, 1, TO_R0, 1, 1, true);
        answer(0, TO_R0, 1, 1, OUTCOME_ACKED);
        settled(0, bad ? 1 : 2, false);
        observe_dedup(R0, 0, 1);
}

static void rejected_means_run(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        begin_run(R0, 1, TO_R0, 1, 1, false);
        end_run(1, bad ? RUN_FAILED : RUN_REJECTED);
        answer(0, TO_R0, 1, 1, bad ? OUTCOME_FAILED : OUTCOME_REJECTED);
        end_message(TO_R0, DELIVERY_REJECTED, true);
}

static void cancelled_was_asked(bool bad)
{
        accept_message(TO_R0);
        if (!bad)
                request(OBS_CANCEL, TO_R0);
        end_message(TO_R0, DELIVERY_CANCELLED, true);
}

static void dead_is_justified(bool bad)
{
        open_connection(0, 5);
        accept_message(TWO_ATTEMPTS);
        send_message(0, TWO_ATTEMPTS, 1, 1, false);
        no_ack(0, TWO_ATTEMPTS, 1);
        if (!bad)
                send_message(0, TWO_ATTEMPTS, 1, 2, true);
        close_connection(0);
        end_message(TWO_ATTEMPTS, DELIVERY_DEAD, true);
}

static void quorum_counts(bool bad)
{
        open_connection(0, 5);
        open_connection(1, 5);
        accept_message(QUORUM);
        send_message(0, QUORUM, 1, 1, false);
        do_run(R0, 1, QUORUM, 1, 1, false);
        answer(0, QUORUM, 1, 1, OUTCOME_ACKED);
        use_stream(1);
        send_message(1, QUORUM, 1, 1, false);
        do_run(R1, 2, QUORUM, 1, 1, false);
        if (!bad)
                answer(1, QUORUM, 1, 1, OUTCOME_ACKED);
        end_message(QUORUM, DELIVERY_ACKED, true);
}

static void all_counts(bool bad)
{
        open_connection(0, 5);
        open_connection(1, 5);
        accept_message(ALL);
        send_message(0, ALL, 1, 1, false);
        do_run(R0, 1, ALL, 1, 1, false);
        answer(0, ALL, 1, 1, OUTCOME_ACKED);
        use_stream(1);
        write_message(1, ALL, 1, 1, false);
        if (!bad) {
                send_message(1, ALL, 1, 1, true);
                do_run(R1, 2, ALL, 1, 1, false);
                answer(1, ALL, 1, 1, OUTCOME_ACKED);
        }
        end_message(ALL, DELIVERY_ACKED, true);
}

/* Done, and its receiver has lived ever since; or it has not, and the record was lost with it. */
static void processed_once(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        do_run(R0, 1, TO_R0, 1, 1, false);
        if (!bad) {
                kill_process(R0);
                start(R0);
        }
        close_connection(0);
        open_connection(10, 5);
        send_message(10, TO_R0, 1, 1, true);
        begin_run(R0, 2, TO_R0, 1, 1, true);
        effect(2);
}

static void flagged(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        begin_run(R0, 1, TO_R0, 1, 1, false);
        effect(1);
        kill_process(R0);
        start(R0);
        close_connection(0);
        open_connection(10, 5);
        send_message(10, TO_R0, 1, 1, true);
        begin_run(R0, 2, TO_R0, 1, 1, !bad);
}

/* At another receiver, which has refused it before: the frame that was written first may run last, without
 * the flag. */
static void flagged_after_move(bool bad)
{
        open_connection(0, 5);
        open_connection(1, 5);
        accept_message(ANY);
        use_stream(1);
        send_message(1, ANY, 1, 1, false);
        answer(1, ANY, 1, 1, OUTCOME_BUSY);
        use_stream(0);
        send_message(0, ANY, 1, 1, false);
        close_connection(0);
        use_stream(1);
        send_message(1, ANY, 2, 1, true);
        if (bad) {
                use_stream(0);
                begin_run(R0, 1, ANY, 1, 1, false);
                use_stream(1);
                begin_run(R1, 2, ANY, 2, 1, false);
                return;
        }
        begin_run(R1, 2, ANY, 2, 1, true);
        use_stream(0);
        begin_run(R0, 1, ANY, 1, 1, false);
}

static void run_was_asked(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        if (bad)
                write_message(0, TO_R0, 1, 1, false);
        else
                send_message(0, TO_R0, 1, 1, false);
        begin_run(R0, 1, TO_R0, 1, 1, false);
}

static void failed_is_recorded(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        begin_run(R0, 1, TO_R0, 1, 1, false);
        end_run(1, RUN_FAILED);
        answer(0, TO_R0, 1, 1, OUTCOME_FAILED);
        send_message(0, TO_R0, 1, 2, true);
        begin_run(R0, 2, TO_R0, 1, bad ? 1 : 2, true);
}

static void no_overlap(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        begin_run(R0, 1, TO_R0, 1, 1, false);
        if (!bad)
                end_run(1, RUN_FAILED);
        begin_run(R0, 2, TO_R0, 1, 2, true);
}

static void effect_in_run(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        begin_run(R0, 1, TO_R0, 1, 1, false);
        kill_process(R0);
        start(R0);
        if (bad)
                open_connection(10, 5);
        effect(1);
}

static void run_again(Outcome outcome, bool in_memory, bool crash)
{
        const unsigned message = in_memory ? IN_MEMORY : TO_R0;

        open_connection(0, 5);
        accept_message(message);
        send_message(0, message, 1, 1, false);
        if (outcome == OUTCOME_CANCELLED)
                cancel_frame(0, message, 1);
        else
                do_run(R0, 1, message, 1, 1, false);
        write_answer(0, message, 1, 1, outcome);
        if (crash)
                kill_process(R0), start(R0);
        close_connection(0);
        open_connection(10, 5);
        send_message(10, message, 1, 1, true);
        begin_run(R0, 2, message, 1, 1, true);
}

static void no_run_after_ack(bool bad)
{
        run_again(OUTCOME_ACKED, !bad, true);
}

static void no_run_after_cancelled(bool bad)
{
        run_again(OUTCOME_CANCELLED, !bad, true);
}

/* An old frame comes late; what is in the queue already may still run. */
static void no_run_after_settled(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        write_message(0, TO_R0, 1, 1, false);
        if (!bad)
                send_message(0, TO_R0, 1, 1, true);
        request(OBS_CANCEL, TO_R0);
        close_connection(0);
        end_message(TO_R0, DELIVERY_CANCELLED, true);
        open_connection(10, 5);
        settled(10, 2, false);
        if (bad)
                read_message(0, TO_R0, 1, 1, false);
        begin_run(R0, 1, TO_R0, 1, 1, false);
}

static void everything_ends(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        faults_end();
        if (!bad) {
                send_message(0, TO_R0, 1, 1, false);
                do_run(R0, 1, TO_R0, 1, 1, false);
                answer(0, TO_R0, 1, 1, OUTCOME_ACKED);
        }
        wait_usec(11 * USEC_PER_SEC);
        over();
}

/* A message to a name waits for ever if the receiver to which it was sent lost its id; not before. */
static void everything_ends_or_waits(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        if (!bad)
                send_message(0, TO_R0, 1, 1, false);
        step(STEP_REPLACE, R0);
        faults_end();
        wait_usec(11 * USEC_PER_SEC);
        over();
}

/* A message to any waits for ever if no receiver can start; not if one of them can. */
static void everything_ends_or_nobody_is_left(bool bad)
{
        accept_message(ANY);
        for (unsigned p = R0; p <= R2; p++) {
                step(STEP_FLIP, p);
                kill_process(p);
                if (bad && p == R2)
                        break;
                start(p);
                exit_process(p, 1);
        }
        faults_end();
        wait_usec(11 * USEC_PER_SEC);
        over();
}

const JudgeCase judge_cases_messages[] = {
                {"accepted-is-durable", accepted_is_durable},
                {"accepted-is-durable", acked_may_be_gone},
                {"ended-is-durable", ended_is_durable},
                {"loss-is-reported", loss_is_reported},
                {"nothing-before-accepted", nothing_before_accepted},
                {"nothing-is-invented", nothing_is_invented},
                {"one-submission-one-message", one_submission_one_message},
                {"idempotent", idempotent},
                {"refused-is-not-run", refused_is_not_run},
                {"refused-by-disk-is-not-run", refused_by_disk_is_not_run},
                {"one-end", one_end},
                {"acked-means-run", acked_means_run},
                {"acked-means-recorded", acked_means_recorded},
                {"acked-means-recorded", acked_is_remembered},
                {"acked-means-recorded", acked_is_remembered_until_settled},
                {"rejected-means-run", rejected_means_run},
                {"cancelled-was-asked", cancelled_was_asked},
                {"dead-is-justified", dead_is_justified},
                {"quorum-counts", quorum_counts},
                {"all-counts", all_counts},
                {"processed-once", processed_once},
                {"flagged", flagged},
                {"flagged", flagged_after_move},
                {"run-was-asked", run_was_asked},
                {"failed-is-recorded", failed_is_recorded},
                {"no-overlap", no_overlap},
                {"effect-in-run", effect_in_run},
                {"no-run-after-ack", no_run_after_ack},
                {"no-run-after-cancelled", no_run_after_cancelled},
                {"no-run-after-settled", no_run_after_settled},
                {"everything-ends", everything_ends},
                {"everything-ends", everything_ends_or_waits},
                {"everything-ends", everything_ends_or_nobody_is_left},
                {},
};
