/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What receivers owe, and times. */
#include "judge-cases.h"

#include "base/time-util.h"
#include "judge-history.h"

static void concurrency_is_kept(bool bad)
{
        open_connection(0, 20);
        for (unsigned i = 0; i < 3; i++) {
                accept_message(MANY + i);
                send_message(0, MANY + i, 1 + i, 1, false);
                begin_run(R0, 1 + i, MANY + i, 1 + i, 1, false);
                if (!bad && i == 0)
                        end_run(1, RUN_DONE);
        }
}

static void credit_is_covered(bool bad)
{
        open_connection(0, 4002);
        if (!bad)
                credit(0, 3002);
        open_connection(10, 1000);
}

static void greeting_is_asked(bool bad)
{
        const sd_id128_t id = {.bytes = {0xBB, bad}};

        hello(0);
        pass_frame(0, false,
                        &(Frame){.type = FRAME_WELCOME,
                                        .welcome = {.receiver = id, .credit = 1, .window = 16}});
}

static void stop_finishes(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        begin_run(R0, 1, TO_R0, 1, 1, false);
        step(STEP_TERMINATE, R0);
        wait_usec((bad ? 1 : 12) * USEC_PER_SEC);
        exit_process(R0, 0);
}

static void stop_answers(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        step(STEP_TERMINATE, R0);
        if (!bad)
                answer(0, TO_R0, 1, 1, OUTCOME_BUSY);
        exit_process(R0, 0);
}

static void stop_cannot_read(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        if (bad)
                log_text(R0, "Cannot read a recorded reply: No space left on device");
        send_message(0, TO_R0, 1, 1, false);
        if (!bad)
                log_text(R0, "Cannot read a recorded reply: No space left on device");
        step(STEP_TERMINATE, R0);
        exit_process(R0, 0);
}

static void drain_is_kept(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        if (!bad)
                send_message(0, TO_R0, 1, 1, false);
        step_for(STEP_DRAIN, R0, 10 * USEC_PER_SEC);
        log_text(R0, "Draining: new messages are refused until \"ackctl resume\"");
        if (bad)
                send_message(0, TO_R0, 1, 1, false);
        begin_run(R0, 1, TO_R0, 1, 1, false);
}

static void drain_lasts(bool bad)
{
        step_for(STEP_DRAIN, R0, 10 * USEC_PER_SEC);
        log_text(R0, "Draining: new messages are refused until \"ackctl resume\"");
        wait_usec((bad ? 5 : 15) * USEC_PER_SEC);
        log_text(R0, "Taking messages again");
}

static void failover_waits_for_the_lease(bool bad)
{
        log_text(0, "Receiver r0 of group g has registered");
        open_connection(0, 5);
        open_connection(1, 5);
        accept_message(ANY);
        send_message(0, ANY, 1, 1, false);
        wait_usec(10 * USEC_PER_SEC);
        step(STEP_KILL, R0);
        kill_process(R0);
        close_connection(0);
        wait_usec(30 * USEC_PER_SEC);
        if (!bad)
                log_text(0, "Receiver r0 is gone: no heartbeat");
        event(ANY, EVENT_QUEUED);
}

/* A dead letter that is tried again: what it was sent before does not hold it, a send since then does. */
static void failover_of_retried(bool bad)
{
        log_text(0, "Receiver r0 of group g has registered");
        open_connection(0, 5);
        wait_usec(10 * USEC_PER_SEC);
        accept_message(WITH_DEADLINE);
        send_message(0, WITH_DEADLINE, 1, 1, false);
        wait_usec(10 * USEC_PER_SEC);
        cancel_frame(0, WITH_DEADLINE, 1);
        answer(0, WITH_DEADLINE, 1, 1, OUTCOME_CANCELLED);
        end_message(WITH_DEADLINE, DELIVERY_DEAD, true);
        request(OBS_REVIVE, WITH_DEADLINE);
        send_message(0, WITH_DEADLINE, 2, 1, true);
        if (!bad)
                answer(0, WITH_DEADLINE, 2, 1, OUTCOME_BUSY);
        close_connection(0);
        event(WITH_DEADLINE, EVENT_QUEUED);
}

static void not_before_start(bool bad)
{
        open_connection(0, 5);
        accept_message(DELAYED);
        wait_usec((bad ? 9 : 10) * USEC_PER_SEC);
        send_message(0, DELAYED, 1, 1, false);
}

static void deadline_is_kept(bool bad)
{
        open_connection(0, 5);
        accept_message(WITH_DEADLINE);
        wait_usec((bad ? 30 : 9) * USEC_PER_SEC);
        send_message(0, WITH_DEADLINE, 1, 1, false);
}

static void working_is_told(bool bad)
{
        open_connection(0, 5);
        if (!bad)
                step(STEP_BLACKHOLE, R0);
        wait_usec(10 * USEC_PER_SEC);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        begin_run(R0, 1, TO_R0, 1, 1, false);
        wait_usec(2 * USEC_PER_SEC);
        no_ack(0, TO_R0, 1);
        send_message(0, TO_R0, 1, 2, true);
}

static void working_is_told_in_time(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        begin_run(R0, 1, TO_R0, 1, 1, false);
        wait_usec(2 * USEC_PER_SEC);
        no_ack(0, TO_R0, 1);
        stay_in_output(bad ? 0 : 2 * USEC_PER_SEC);
        send_message(0, TO_R0, 1, 2, true);
}

static void stop_kills(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        begin_run(R0, 1, TO_R0, 1, 1, false);
        step(STEP_TERMINATE, R0);
        wait_usec(USEC_PER_SEC);
        if (!bad)
                cancel_frame(0, TO_R0, 1);
        end_run(1, RUN_KILLED);
        if (!bad)
                answer(0, TO_R0, 1, 1, OUTCOME_CANCELLED);
        else
                close_connection(0);
        exit_process(R0, 0);
}

static void draining_gets_nothing_new(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        wait_usec(USEC_PER_SEC);
        step_for(STEP_DRAIN, R0, 10 * USEC_PER_SEC);
        log_text(R0, "Draining: new messages are refused until \"ackctl resume\"");
        wait_usec((bad ? 5 : 1) * USEC_PER_SEC);
        send_message(0, TO_R0, 1, 1, false);
}

static void wait_ends_with_connection(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        accept_message(TO_R0_AGAIN);
        send_message(0, TO_R0, 1, 1, false);
        close_connection(0);
        open_connection(10, 5);
        wait_usec(2 * USEC_PER_SEC);
        if (!bad)
                send_message(10, TO_R0, 1, 1, true);
        send_message(10, TO_R0_AGAIN, 2, 1, false);
}

/* The client gives it up before the kernel takes its frame. From then on, "working" does not keep its
 * attempt alive. */
static void credit_of_given_up(bool bad)
{
        open_connection(0, 1);
        accept_message(TO_R0);
        accept_message(TO_R0_AGAIN);
        event_at(0, TO_R0, EVENT_SENT, 1);
        if (!bad)
                event_at(0, TO_R0, EVENT_GIVING_UP, 1);
        send_message(0, TO_R0, 1, 1, false);
        wait_usec(USEC_PER_SEC / 2);
        answer(0, TO_R0, 1, 1, OUTCOME_WORKING);
        wait_usec(USEC_PER_SEC * 3 / 4);
        send_message(0, TO_R0_AGAIN, 2, 1, false);
}

/* A frame lies in the output when the message ends for the second time. */
static void revived_has_ended(bool bad)
{
        accept_message(WITH_DEADLINE);
        wait_usec(10 * USEC_PER_SEC);
        end_message(WITH_DEADLINE, DELIVERY_DEAD, true);
        open_connection(0, 5);
        request(OBS_REVIVE, WITH_DEADLINE);
        send_message(0, WITH_DEADLINE, 1, 1, true);
        do_run(R0, 1, WITH_DEADLINE, 1, 1, true);
        no_ack(0, WITH_DEADLINE, 1);
        answer(0, WITH_DEADLINE, 1, 1, OUTCOME_ACKED);
        end_message(WITH_DEADLINE, DELIVERY_ACKED, true);
        if (bad) {
                close_connection(0);
                open_connection(10, 5);
        }
        send_message(bad ? 10 : 0, WITH_DEADLINE, 1, 2, true);
}

static void key_goes_first(bool bad)
{
        open_connection(0, 5);
        accept_message(KEY_LOW);
        accept_message(TO_R0);
        send_message(0, KEY_LOW, 1, 1, false);
        close_connection(0);
        open_connection(10, 5);
        wait_usec(2 * USEC_PER_SEC);
        if (!bad)
                send_message(10, KEY_LOW, 1, 1, true);
        send_message(10, TO_R0, 2, 1, false);
}

static void pauses_grow(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        for (unsigned i = 1; i < 20; i++) {
                send_message(0, TO_R0, 1, i, i > 1);
                begin_run(R0, i, TO_R0, 1, i, i > 1);
                end_run(i, RUN_FAILED);
                answer(0, TO_R0, 1, i, OUTCOME_FAILED);
                wait_usec((bad ? 50 : 500) * USEC_PER_MSEC);
        }
}

static void id_is_unique(bool bad)
{
        log_text(0, "Receiver r0 of group g has registered");
        open_connection(0, 5);
        wait_usec(USEC_PER_SEC);
        step_for(STEP_CLONE, R0, 60 * USEC_PER_SEC);
        start(COPY);
        wait_usec((bad ? 10 : 1) * USEC_PER_SEC);
        close_connection(0);
        open_connection_as(3, 0, 5);
}

/* The end is not on disk. */
static void settled_after_sync(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        do_run(R0, 1, TO_R0, 1, 1, false);
        answer(0, TO_R0, 1, 1, OUTCOME_ACKED);
        if (!bad)
                end_message(TO_R0, DELIVERY_ACKED, true);
        settled(0, 2, false);
}

static void asked_before_end(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        request(OBS_CANCEL, TO_R0);
        if (!bad) {
                cancel_frame(0, TO_R0, 1);
                answer(0, TO_R0, 1, 1, OUTCOME_CANCELLED);
        }
        end_message(TO_R0, DELIVERY_CANCELLED, true);
}

/* The answer to the message before it was retried does not end it. */
static void asked_before_second_end(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        for (unsigned sequence = 1; sequence <= 2; sequence++) {
                send_message(0, TO_R0, sequence, 1, sequence > 1);
                begin_run(R0, sequence, TO_R0, sequence, 1, sequence > 1);
                end_run(sequence, RUN_REJECTED);
                if (sequence == 1 || !bad)
                        answer(0, TO_R0, sequence, 1, OUTCOME_REJECTED);
                event(TO_R0, EVENT_REJECTED);
                if (sequence == 1)
                        request(OBS_REVIVE, TO_R0);
        }
}

/* What an older binding was answered stays, whatever the newer one was answered. */
static void old_answer_is_true(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        begin_run(R0, 1, TO_R0, 1, 1, false);
        end_run(1, RUN_REJECTED);
        answer(0, TO_R0, 1, 1, OUTCOME_REJECTED);
        end_message(TO_R0, DELIVERY_REJECTED, true);
        request(OBS_REVIVE, TO_R0);
        send_message(0, TO_R0, 2, 1, true);
        do_run(R0, 2, TO_R0, 2, 1, true);
        answer(0, TO_R0, 2, 1, OUTCOME_ACKED);
        answer(0, TO_R0, 1, 1, bad ? OUTCOME_ACKED : OUTCOME_REJECTED);
}

/* Without an answer once in each ack timeout, however short that is: here it is half a second. */
static void timeouts_are_bounded(bool bad)
{
        step(STEP_RELOAD, C0);
        open_connection(0, 5);
        accept_message(TO_R0);
        for (uint32_t i = 1; i <= 150; i++) {
                send_message(0, TO_R0, 1, bad ? 1 : i, i > 1);
                wait_usec((bad ? 200 : 300) * USEC_PER_MSEC);
                if (!bad)
                        no_ack(0, TO_R0, i);
        }
}

/* The tables have it after an orderly end. */
static void acked_is_remembered_in_the_log(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        do_run(R0, 1, TO_R0, 1, 1, false);
        answer(0, TO_R0, 1, 1, OUTCOME_ACKED);
        if (bad)
                exit_process(R0, 0);
        else
                kill_process(R0);
        observe_dedup(R0, 0, 1);
}

/* It has come back to a receiver that was frozen, and that reads the frame of its older sequence, too. */
static void flagged_after_return(bool bad)
{
        open_connection(0, 5);
        accept_message(ANY);
        write_message(0, ANY, 1, 1, false);
        close_connection(0);
        open_connection(10, 5);
        send_message(10, ANY, 2, 1, true);
        read_message(0, ANY, 1, 1, false);
        begin_run(R0, 1, ANY, bad ? 1 : 2, 1, !bad);
        begin_run(R0, 2, ANY, bad ? 2 : 1, 1, false);
}

static void silent_is_asked(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        wait_usec(USEC_PER_SEC);
        if (!bad)
                pass_frame(0, true, &(Frame){.type = FRAME_PING});
        wait_usec(USEC_PER_SEC);
        warn_text(C0, "Receiver r0@a is connected, but does not answer: is it frozen?");
        close_connection(0);
}

static void copy_has_its_own_id(bool bad)
{
        hello_of(0, 1);
        step_for(STEP_CLONE, C0, 60 * USEC_PER_SEC);
        start(COPY_OF_CLIENT);
        hello_of(FROM_COPY, bad ? 1 : 2);
}

static void lease_is_whole(bool bad)
{
        kill_process(0);
        start(0);
        wait_usec((bad ? 20 : 31) * USEC_PER_SEC);
        log_text(0, "Receiver r0 is gone: no heartbeat");
}

const JudgeCase judge_cases_duties[] = {
                {"concurrency-is-kept", concurrency_is_kept},
                {"credit-is-covered", credit_is_covered},
                {"greeting-is-asked", greeting_is_asked},
                {"stop-is-orderly", stop_finishes},
                {"stop-is-orderly", stop_answers},
                {"stop-is-orderly", stop_cannot_read},
                {"drain-is-kept", drain_is_kept},
                {"drain-is-kept", drain_lasts},
                {"failover-only-when-gone", failover_waits_for_the_lease},
                {"failover-only-when-gone", failover_of_retried},
                {"not-before-start", not_before_start},
                {"deadline-is-kept", deadline_is_kept},
                {"working-is-told", working_is_told},
                {"working-is-told", working_is_told_in_time},
                {"lease-is-whole", lease_is_whole},
                {"asked-before-end", asked_before_end},
                {"asked-before-end", asked_before_second_end},
                {"settled-is-ended", settled_after_sync},
                {"stop-is-orderly", stop_kills},
                {"drain-is-kept", draining_gets_nothing_new},
                {"wait-ends-with-connection", wait_ends_with_connection},
                {"wait-ends-with-connection", key_goes_first},
                {"ended-is-not-sent", revived_has_ended},
                {"credit-is-kept", credit_of_given_up},
                {"pauses-grow", pauses_grow},
                {"id-is-unique", id_is_unique},
                {"answer-is-true", old_answer_is_true},
                {"flagged", flagged_after_return},
                {"acked-means-recorded", acked_is_remembered_in_the_log},
                {"retries-are-bounded", timeouts_are_bounded},
                {"id-is-unique", copy_has_its_own_id},
                {"frozen-is-found", silent_is_asked},
                {},
};
