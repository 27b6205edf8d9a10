/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Histories of a receiver that has no place: when it is asked again. */

#include "base/time-util.h"
#include "judge-cases.h"
#include "judge-history.h"

static void pauses_between_refusals_grow(bool bad)
{
        open_connection(0, 1);
        accept_message(TO_R0);
        for (unsigned i = 1; i <= 11; i++) {
                send_message(0, TO_R0, i, 1, false);
                answer(0, TO_R0, i, 1, OUTCOME_BUSY);
                wait_usec((bad ? 100 : 200) * USEC_PER_MSEC);
        }
}

/* The refusal of an earlier attempt comes late. The wait for an ack was the pause. */
static void late_refusals_need_no_pause(bool bad)
{
        open_connection(0, 1);
        accept_message(TO_R0);
        for (unsigned i = 1; i <= 12; i++) {
                send_message(0, TO_R0, bad ? i : 1, bad ? 1 : i, !bad && i > 1);
                if (!bad) {
                        wait_usec(950 * USEC_PER_MSEC);
                        if (i > 1)
                                answer(0, TO_R0, 1, i - 1, OUTCOME_BUSY);
                        wait_usec(50 * USEC_PER_MSEC);
                        no_ack(0, TO_R0, i);
                } else
                        answer(0, TO_R0, i, 1, OUTCOME_BUSY);
        }
}

const JudgeCase judge_cases_turns[] = {
                {"pauses-grow", pauses_between_refusals_grow},
                {"pauses-grow", late_refusals_need_no_pause},
                {},
};
