/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For each rule of the simulator's judge, a history that breaks it, and one near by that does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/macro.h"
#include "judge-cases.h"
#include "judge-history.h"

static const JudgeCase *const all[] = {judge_cases_messages, judge_cases_wire, judge_cases_fair,
                judge_cases_duties, judge_cases_starts, judge_cases_turns};

static void tell_all(bool bad)
{
        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                for (const JudgeCase *c = all[i]; c->rule; c++) {
                        history_begin();
                        c->tell(bad);
                        const Verdict *v = history_end();
                        if (bad != (v->rule != NULL) || (bad && strcmp(v->rule, c->rule) != 0))
                                fail_msg("%s history of %s: %s: %s", bad ? "bad" : "good", c->rule,
                                                v->rule ? v->rule : "nothing is broken", v->text);
                        if (bad)
                                print_message("%s: %s\n", v->rule, v->text);
                }
}

static void test_bad(void **state)
{
        tell_all(true);
}

static void test_good(void **state)
{
        tell_all(false);
}

static void test_every_rule_has_a_case(void **state)
{
        size_t n;
        const Rule *rules = judge_rules(&n);

        for (size_t i = 0; i < n; i++) {
                bool found = false;
                for (size_t k = 0; k < ELEMENTSOF(all); k++)
                        for (const JudgeCase *c = all[k]; c->rule; c++)
                                found = found || strcmp(c->rule, rules[i].name) == 0;
                if (!found)
                        fail_msg("no history for %s", rules[i].name);
        }
}

/* A whole life without any fault. */
static void test_good_life(void **state)
{
        history_begin();
        open_connection(0, 5);
        accept_message(TO_R0);
        send_message(0, TO_R0, 1, 1, false);
        do_run(R0, 1, TO_R0, 1, 1, false);
        answer(0, TO_R0, 1, 1, OUTCOME_ACKED);
        end_message(TO_R0, DELIVERY_ACKED, true);
        assert_null(history_end()->rule);
        assert_true(judge_is_satisfied(history_judge()));
}

static void test_disabled(void **state)
{
        history_begin_without("one-end,credit-is-kept");
        open_connection(0, 1);
        accept_message(TO_R0);
        accept_message(TO_R0_AGAIN);
        send_message(0, TO_R0, 1, 1, false);
        send_message(0, TO_R0_AGAIN, 2, 1, false);
        assert_null(history_end()->rule);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_bad),
                        cmocka_unit_test(test_good),
                        cmocka_unit_test(test_every_rule_has_a_case),
                        cmocka_unit_test(test_good_life),
                        cmocka_unit_test(test_disabled),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
