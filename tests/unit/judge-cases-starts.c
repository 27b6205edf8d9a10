/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Histories of clients that start again: what they have on their disk is seen a while later. */

#include "base/time-util.h"
#include "judge-cases.h"
#include "judge-history.h"

/* A client that was started does not know in which order they were bound. */
static void loaded_in_order_of_acceptance(bool bad)
{
        open_connection(0, 5);
        accept_message(TO_R0);
        accept_message(TO_R0_AGAIN);
        send_message(0, TO_R0_AGAIN, 1, 1, false);
        send_message(0, TO_R0, 2, 1, false);
        if (!bad) {
                kill_process(C0);
                start(C0);
                load(TO_R0, DELIVERY_BOUND);
                load(TO_R0_AGAIN, DELIVERY_BOUND);
                loaded();
                faults_end();
                wait_usec(6 * USEC_PER_SEC);
                open_connection(10, 5);
                send_message(10, TO_R0, 2, 1, true);
                send_message(10, TO_R0_AGAIN, 1, 1, true);
                answer(10, TO_R0, 2, 1, OUTCOME_WORKING);
        }
        close_connection(bad ? 0 : 10);
        open_connection(20, 5);
        wait_usec(2 * USEC_PER_SEC);
        send_message(20, TO_R0, 2, 1, true);
}

/* The end was on the disk, and nobody had been told of it when the power went. */
static void settled_before_it_is_loaded(bool bad)
{
        open_connection(0, 5);
        accept_message(WITH_DEADLINE);
        send_message(0, WITH_DEADLINE, 1, 1, false);
        kill_process(C0);
        start(C0);
        open_connection(10, 5);
        settled(10, 2, false);
        load(WITH_DEADLINE, bad ? DELIVERY_BOUND : DELIVERY_DEAD);
        loaded();
}

/* A receiver that could not open its file of runs says so, and does not know during which run it died. */
static void deaths_are_charged_where_runs_are_noted(bool bad)
{
        accept_message(TWO_ATTEMPTS);
        for (unsigned i = 0; i < 3; i++) {
                if (!bad)
                        log_text(R0, "Cannot open receiver.runs in the state directory");
                open_connection(10 * i, 5);
                send_message(10 * i, TWO_ATTEMPTS, 1, 1, i > 0);
                begin_run(R0, 1 + i, TWO_ATTEMPTS, 1, 1, i > 0);
                kill_process(R0);
                end_run(1 + i, RUN_KILLED);
                close_connection(10 * i);
                start(R0);
        }
}

const JudgeCase judge_cases_starts[] = {
                {"deaths-are-charged", deaths_are_charged_where_runs_are_noted},
                {"wait-ends-with-connection", loaded_in_order_of_acceptance},
                {"settled-is-ended", settled_before_it_is_loaded},
                {},
};
