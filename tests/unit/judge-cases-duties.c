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

static void not_before_start(bool bad)
{
        open_connection(0, 5);
        accept_message(DELAYED);
        wait_usec((bad ? 9 : 10) * USEC_PER_SEC);
        send_message(0, DELAYED, 1, 1, false);
}

/* What was in the output of a connection may be written late. */
static void deadline_is_kept(bool bad)
{
        open_connection(0, 5);
        accept_message(WITH_DEADLINE);
        wait_usec(30 * USEC_PER_SEC);
        if (bad) {
                close_connection(0);
                open_connection(10, 5);
        }
        send_message(bad ? 10 : 0, WITH_DEADLINE, 1, 1, false);
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
                {"drain-is-kept", drain_is_kept},
                {"drain-is-kept", drain_lasts},
                {"failover-only-when-gone", failover_waits_for_the_lease},
                {"not-before-start", not_before_start},
                {"deadline-is-kept", deadline_is_kept},
                {"working-is-told", working_is_told},
                {"lease-is-whole", lease_is_whole},
                {},
};
