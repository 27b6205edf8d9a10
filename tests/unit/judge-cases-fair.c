/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Histories for the rules of judge-fair.c. */

#include "base/time-util.h"
#include "judge-cases.h"
#include "judge-history.h"

static void urgent_first(bool bad)
{
        open_connection(0, 4000);
        accept_message(URGENT);
        wait_usec(2 * USEC_PER_SEC);
        for (unsigned i = 0; i < 14; i++) {
                if (!bad && i == 3) {
                        send_message(0, URGENT, 16, 1, false);
                        begin_run(R0, 50, URGENT, 16, 1, false);
                }
                accept_message(MANY + i);
                send_message(0, MANY + i, 1 + i, 1, false);
                begin_run(R0, 1 + i, MANY + i, 1 + i, 1, false);
                effect(1 + i);
                end_run(1 + i, RUN_DONE);
        }
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

const JudgeCase judge_cases_fair[] = {
                {"urgent-first", urgent_first},
                {"deaths-are-charged", deaths_are_charged},
                {"deaths-are-charged", deaths_are_charged_unless_forgotten},
                {"frozen-is-found", frozen_is_found},
                {},
};
