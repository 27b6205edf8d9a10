/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Histories for the rules of judge-fair.c and judge-turns.c, of nobody-starves, for a client that has
 * lost records, for members that were sent, for backups, for a resume before a drain, and for what lies in
 * the output for long. */

#include "base/time-util.h"
#include "judge-cases.h"
#include "judge-history.h"

static void send_many(unsigned i)
{
        accept_message(MANY + i);
        use_stream(1 + i / 15);
        send_message(0, MANY + i, 1 + i % 15, 1, false);
}

static void begin_many(unsigned i)
{
        use_stream(1 + i / 15);
        begin_run(R0, 1 + i, MANY + i, 1 + i % 15, 1, false);
        effect(1 + i);
        end_run(1 + i, RUN_DONE);
}

static void run_many(unsigned from, unsigned n)
{
        for (unsigned i = from; i < from + n; i++) {
                send_many(i);
                begin_many(i);
        }
}

static void urgent_first(bool bad)
{
        open_connection(0, 4000);
        accept_message(URGENT);
        wait_usec(2 * USEC_PER_SEC);
        run_many(0, 3);
        if (!bad) {
                send_message(0, URGENT, 16, 1, false);
                begin_run(R0, 50, URGENT, 16, 1, false);
        }
        run_many(3, 11);
}

/* Its client learns from discovery that it may go there. */
static void urgent_first_where_it_may_go(bool bad)
{
        open_connection(0, 4000);
        accept_message(URGENT_ANY);
        wait_usec(2 * USEC_PER_SEC);
        run_many(0, 10);
        log_text(0, "Receiver r0 of group g has registered");
        run_many(10, 3);
        if (bad)
                wait_usec(4 * USEC_PER_SEC);
        run_many(13, 8);
}

/* What leaves at once on a new connection may run much later. */
static void urgent_first_from_when_it_can_leave(bool bad)
{
        accept_message(URGENT);
        wait_usec(2 * USEC_PER_SEC);
        open_connection(0, 4000);
        if (bad)
                wait_usec(2 * USEC_PER_SEC);
        for (unsigned i = 0; i < 10; i++)
                send_many(i);
        wait_usec(2 * USEC_PER_SEC);
        for (unsigned i = 0; i < 10; i++)
                begin_many(i);
}

/* Its client has not heard yet that the receiver takes new messages again. */
static void urgent_first_after_a_drain(bool bad)
{
        open_connection(0, 4000);
        accept_message(URGENT);
        step_for(STEP_DRAIN, R0, USEC_PER_SEC);
        wait_usec((bad ? 10 : 2) * USEC_PER_SEC);
        run_many(0, 10);
}

typedef enum Submitted { LATER, EARLIER, MEANWHILE } Submitted;

/* `others`: when they were submitted, compared with the time from its submission to its acceptance. They are
 * accepted after it. */
static void starve(bool listed, bool sent, Submitted others)
{
        open_connection(0, 4000);
        if (others == MEANWHILE)
                submit(ANY);
        for (unsigned i = 0; i < 300 && others != LATER; i++)
                submit(MANY + i);
        if (listed)
                log_text(0, "Receiver r0 of group g has registered");
        if (others != MEANWHILE)
                submit(ANY);
        accept_as(ANY, ANY);
        if (sent)
                send_message(0, ANY, 1, 1, false);
        wait_usec(4 * USEC_PER_SEC); /* a receiver may be silent for a second, and news takes its time */
        for (unsigned i = 0; i < 300; i++) {
                if (others == LATER)
                        submit(MANY + i);
                accept_as(MANY + i, MANY + i);
                use_stream(1 + i / 15);
                write_message(0, MANY + i, 1 + i % 15, 1, false);
        }
}

static void nobody_starves(bool bad)
{
        starve(true, !bad, LATER);
}

/* Any receiver may get it, but discovery does not list this one. */
static void nobody_starves_where_it_may_go(bool bad)
{
        starve(bad, false, LATER);
}

static void nobody_starves_in_order_of_submission(bool bad)
{
        starve(true, false, bad ? LATER : EARLIER);
}

/* Two programs submit. The client reads the one or the other first. */
static void nobody_starves_whom_the_client_read_first(bool bad)
{
        starve(true, false, bad ? LATER : MEANWHILE);
}

static void deaths_are_charged(bool bad)
{
        accept_message(TWO_ATTEMPTS);
        for (unsigned i = 0; i < (bad ? 3 : 2); i++) {
                open_connection(10 * i, 5);
                send_message(10 * i, TWO_ATTEMPTS, 1, 1, i > 0);
                begin_run(R0, 1 + i, TWO_ATTEMPTS, 1, 1, i > 0);
                kill_process(R0);
                end_run(1 + i, RUN_KILLED);
                close_connection(10 * i);
                start(R0);
        }
}

/* With an older state a receiver does not know during which run it died. */
static void deaths_are_charged_unless_forgotten(bool bad)
{
        accept_message(TWO_ATTEMPTS);
        for (unsigned i = 0; i < 3; i++) {
                open_connection(10 * i, 5);
                send_message(10 * i, TWO_ATTEMPTS, 1, 1, i > 0);
                begin_run(R0, 1 + i, TWO_ATTEMPTS, 1, 1, i > 0);
                if (!bad && i == 1)
                        step(STEP_RESTORE, R0);
                kill_process(R0);
                end_run(1 + i, RUN_KILLED);
                close_connection(10 * i);
                start(R0);
        }
}

static void suspects_run_alone(bool bad)
{
        accept_message(TO_R0);
        accept_message(TO_R0_AGAIN);
        for (unsigned i = 0; i < 2; i++) {
                open_connection(10 * i, 5);
                send_message(10 * i, TO_R0, 1, 1, i > 0);
                send_message(10 * i, TO_R0_AGAIN, 2, 1, i > 0);
                begin_run(R0, 1 + 2 * i, TO_R0, 1, 1, i > 0);
                if (i > 0 && !bad)
                        end_run(3, RUN_DONE);
                begin_run(R0, 2 + 2 * i, TO_R0_AGAIN, 2, 1, i > 0);
                if (i > 0)
                        break;
                kill_process(R0);
                end_run(1, RUN_KILLED);
                end_run(2, RUN_KILLED);
                close_connection(0);
                start(R0);
        }
}

/* R0 is killed during a run of TO_R0, and gets it again, behind another message. */
static void send_suspect(bool by_power)
{
        accept_message(TO_R0);
        accept_message(TO_R0_AGAIN);
        open_connection(0, 5);
        send_message(0, TO_R0, 1, 1, false);
        begin_run(R0, 1, TO_R0, 1, 1, false);
        kill_process(R0);
        if (by_power)
                lose_power(R0);
        end_run(1, RUN_KILLED);
        close_connection(0);
        start(R0);
        open_connection(10, 5);
        send_message(10, TO_R0_AGAIN, 2, 1, false);
        send_message(10, TO_R0, 1, 1, true);
}

static void run_suspect_beside_another(void)
{
        begin_run(R0, 2, TO_R0_AGAIN, 2, 1, false);
        begin_run(R0, 3, TO_R0, 1, 1, true);
}

/* Of a loss of power nobody is suspected. */
static void suspect_of_a_kill(bool bad)
{
        send_suspect(!bad);
        run_suspect_beside_another();
}

/* Its handler reaches its time limit before it has begun; bad: that of another message does. */
static void suspect_that_has_ended_unseen(bool bad)
{
        send_suspect(false);
        if (bad)
                miss_run(R0, TO_R0_AGAIN, 2, 1);
        else
                miss_run(R0, TO_R0, 1, 1);
        run_suspect_beside_another();
}

static void queue_is_given_back(bool bad)
{
        open_connection(0, 4000);
        for (unsigned i = 0; i < 3; i++) {
                accept_message(MANY + i);
                send_message(0, MANY + i, 1 + i, 1, false);
                if (i < 2)
                        begin_run(R0, 1 + i, MANY + i, 1 + i, 1, false);
        }
        wait_usec(USEC_PER_SEC / 2);
        if (!bad)
                answer(0, MANY + 2, 3, 1, OUTCOME_BUSY);
        wait_usec(2 * USEC_PER_SEC);
        end_run(1, RUN_DONE);
}

static void suspect_is_not_given_back(bool bad)
{
        open_connection(0, 5);
        accept_message(MANY + 2);
        send_message(0, MANY + 2, 3, 1, false);
        if (bad)
                answer(0, MANY + 2, 3, 1, OUTCOME_BUSY);
        close_connection(0);
        kill_process(R0);
        start(R0);
        open_connection(10, 5);
        for (unsigned i = 0; i < 3; i++) {
                if (i < 2)
                        accept_message(MANY + i);
                send_message(10, MANY + i, 1 + i, 1, i == 2);
                if (i < 2)
                        begin_run(R0, 1 + i, MANY + i, 1 + i, 1, false);
        }
        wait_usec(3 * USEC_PER_SEC);
        end_run(1, RUN_DONE);
}

static void offer_is_heard(bool bad)
{
        open_connection(0, 1);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        answer(0, TO_R0, 1, 1, OUTCOME_BUSY);
        wait_usec(3 * USEC_PER_SEC);
        credit(0, 1);
        wait_usec((bad ? 3 : 1) * USEC_PER_SEC);
        send_message(0, TO_R0, 2, 1, false);
}

/* It has ended when there is room, and is retried later. */
static void offer_is_heard_unless_ended(bool bad)
{
        open_connection(0, 1);
        accept_message(WITH_DEADLINE);
        send_message(0, WITH_DEADLINE, 1, 1, false);
        answer(0, WITH_DEADLINE, 1, 1, OUTCOME_BUSY);
        if (!bad) {
                wait_usec(10 * USEC_PER_SEC);
                end_message(WITH_DEADLINE, DELIVERY_DEAD, true);
        }
        credit(0, 1);
        wait_usec(3 * USEC_PER_SEC);
        if (!bad)
                request(OBS_REVIVE, WITH_DEADLINE);
        send_message(0, WITH_DEADLINE, 2, 1, false);
}

/* Somebody has resumed it just before that, and is heard later. */
static void drain_behind_a_resume(bool bad)
{
        step_for(STEP_DRAIN, R0, USEC_PER_SEC);
        wait_usec((bad ? 20 : 2) * USEC_PER_SEC);
        step_for(STEP_DRAIN, R0, 10 * USEC_PER_SEC);
        log_text(R0, "Draining: new messages are refused until \"ackctl resume\"");
        log_text(R0, "Taking messages again");
}

static void refuse_twice(void)
{
        accept_message(ANY);
        send_message(0, ANY, 1, 1, false);
        answer(0, ANY, 1, 1, OUTCOME_BUSY);
        wait_usec(1500 * USEC_PER_MSEC);
        send_message(0, ANY, 2, 1, false);
}

/* After a reload an attempt may last twice as long, so that there is no room. */
static void refused_goes_elsewhere(bool bad)
{
        open_connection(0, 1);
        open_connection(1, 1);
        log_text(0, "Receiver r1 of group g has registered");
        step(STEP_RELOAD, C0);
        wait_usec(6 * USEC_PER_SEC);
        accept_message(KEY);
        use_stream(1);
        send_message(1, KEY, 1, 1, false);
        wait_usec(700 * USEC_PER_MSEC);
        answer(1, KEY, 1, 1, OUTCOME_WORKING);
        if (bad)
                wait_usec(3 * USEC_PER_SEC);
        use_stream(0);
        refuse_twice();
}

/* A client whose long poll hangs does not know who is listed. */
static void refused_goes_elsewhere_when_known(bool bad)
{
        open_connection(0, 1);
        open_connection(1, 1);
        kill_process(0);
        if (!bad)
                lose_power(0);
        start(0);
        log_text(0, "Receiver r1 of group g has registered");
        wait_usec(6 * USEC_PER_SEC);
        refuse_twice();
}

/* The receiver of the last attempt is gone: the message is dead, although nobody has been told. */
static void order_when_attempts_are_over(bool bad)
{
        open_connection(0, 5);
        open_connection(1, 5);
        accept_message(KEY_ONCE);
        accept_message(KEY_NEXT);
        send_message(0, KEY_ONCE, 1, 1, false);
        if (!bad)
                close_connection(0);
        use_stream(1);
        send_message(1, KEY_NEXT, 1, 1, false);
}

/* The client had not read the smaller credit when it handed the frame to its connection, long ago. */
static void credit_of_then(bool bad)
{
        open_connection(0, 2);
        accept_message(TO_R0);
        accept_message(TO_R0_AGAIN);
        send_message(0, TO_R0, 1, 1, false);
        credit(0, 1);
        wait_usec(bad ? 0 : 4 * USEC_PER_SEC);
        credit(0, 1);
        stay_in_output(bad ? 0 : 5 * USEC_PER_SEC);
        send_message(0, TO_R0_AGAIN, 2, 1, false);
}

/* What has lost records marks all that waits, so the flag is judged although the state was damaged. */
static void damaged_is_flagged(bool bad)
{
        accept_message(TO_R0);
        open_connection(0, 5);
        send_message(0, TO_R0, 1, 1, false);
        step(STEP_FLIP, C0);
        kill_process(C0);
        start(C0);
        load(TO_R0, DELIVERY_QUEUED);
        loaded();
        open_connection(10, 5);
        send_message(10, TO_R0, 2, 1, !bad);
}

/* It was handed to the connection, which has ended before it could leave. */
static void member_that_was_sent(bool bad)
{
        accept_message(QUORUM);
        if (!bad)
                no_ack(1, QUORUM, 1);
        request(OBS_CANCEL, QUORUM);
        end_message(QUORUM, DELIVERY_CANCELLED, true);
        open_connection(1, 5);
        send_message(1, QUORUM, 1, 2, true);
}

/* Original and copy come from one backup. One of them keeps its id. */
static void restored_has_its_own_id(bool bad)
{
        hello_of(0, 1);
        step(STEP_RESTORE, C0);
        kill_process(C0);
        start(C0);
        step_for(STEP_CLONE, C0, 60 * USEC_PER_SEC);
        start(COPY_OF_CLIENT);
        hello_of(FROM_COPY, 1);
        hello_of(10, bad ? 1 : 2);
}

static void frozen_is_found(bool bad)
{
        open_connection(0, 5);
        open_connection(1, 5);
        accept_message(ANY);
        step_for(STEP_FREEZE, R0, 60 * USEC_PER_SEC);
        write_message(0, ANY, 1, 1, false);
        wait_usec(bad ? 61 * USEC_PER_SEC : 5 * USEC_PER_SEC);
        read_message(0, ANY, 1, 1, false);
        begin_run(R0, 1, ANY, 1, 1, false);
}

/* The receiver is frozen. What its client keeps must end. */
static void silent_is_given_up(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        write_message(0, TO_R0, 1, 1, false);
        for (unsigned i = 0; i < 6; i++) {
                wait_usec(5 * USEC_PER_SEC);
                write_frame(0, true, &(Frame){.type = FRAME_PING});
                if (!bad && i == 3)
                        pass_frame(0, false, &(Frame){.type = FRAME_PONG});
        }
}

/* PING lies behind what the kernel does not take. */
static void silent_is_asked_behind_output(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        wait_usec(2 * USEC_PER_SEC);
        stay_in_output(bad ? 0 : USEC_PER_SEC);
        warn_text(C0, "Receiver r0@a is connected, but does not answer: is it frozen?");
        close_connection(0);
}

const JudgeCase judge_cases_fair[] = {
                {"urgent-first", urgent_first},
                {"urgent-first", urgent_first_where_it_may_go},
                {"urgent-first", urgent_first_from_when_it_can_leave},
                {"urgent-first", urgent_first_after_a_drain},
                {"nobody-starves", nobody_starves},
                {"nobody-starves", nobody_starves_where_it_may_go},
                {"nobody-starves", nobody_starves_in_order_of_submission},
                {"nobody-starves", nobody_starves_whom_the_client_read_first},
                {"deaths-are-charged", deaths_are_charged},
                {"deaths-are-charged", deaths_are_charged_unless_forgotten},
                {"frozen-is-found", frozen_is_found},
                {"frozen-is-found", silent_is_given_up},
                {"frozen-is-found", silent_is_asked_behind_output},
                {"suspects-run-alone", suspects_run_alone},
                {"suspects-run-alone", suspect_of_a_kill},
                {"suspects-run-alone", suspect_that_has_ended_unseen},
                {"queue-is-given-back", queue_is_given_back},
                {"queue-is-given-back", suspect_is_not_given_back},
                {"drain-is-kept", drain_behind_a_resume},
                {"turns-are-kept", offer_is_heard},
                {"turns-are-kept", offer_is_heard_unless_ended},
                {"turns-are-kept", refused_goes_elsewhere},
                {"turns-are-kept", refused_goes_elsewhere_when_known},
                {"sender-flags", damaged_is_flagged},
                {"ended-is-not-sent", member_that_was_sent},
                {"id-is-unique", restored_has_its_own_id},
                {"order-per-key", order_when_attempts_are_over},
                {"credit-is-kept", credit_of_then},
                {},
};
