/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Histories for the rules of judge-fair.c, and of nobody-starves. */

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
        run_many(13, 5);
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

static void starve(bool listed, bool sent)
{
        open_connection(0, 4000);
        if (listed)
                log_text(0, "Receiver r0 of group g has registered");
        accept_message(ANY);
        if (sent)
                send_message(0, ANY, 1, 1, false);
        wait_usec(4 * USEC_PER_SEC); /* a receiver may be silent for a second, and news takes its time */
        for (unsigned i = 0; i < 300; i++) {
                accept_message(MANY + i);
                use_stream(1 + i / 15);
                write_message(0, MANY + i, 1 + i % 15, 1, false);
        }
}

static void nobody_starves(bool bad)
{
        starve(true, !bad);
}

/* Any receiver may get it, but discovery does not list this one. */
static void nobody_starves_where_it_may_go(bool bad)
{
        starve(bad, false);
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
                {"urgent-first", urgent_first_where_it_may_go},
                {"urgent-first", urgent_first_from_when_it_can_leave},
                {"nobody-starves", nobody_starves},
                {"nobody-starves", nobody_starves_where_it_may_go},
                {"deaths-are-charged", deaths_are_charged},
                {"deaths-are-charged", deaths_are_charged_unless_forgotten},
                {"frozen-is-found", frozen_is_found},
                {},
};
