/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is answered while an outcome is on its way to the disk, and when the disk refuses it. */

#include "receiver-fixture.h"

#include "world/disk.h"

/* What is accepted in memory only is answered before it is synced. */
static void test_memory(void **state)
{
        Fixture *f = *state;
        MessageFrame m = message(1, "x");
        TestSocket *s;

        fixture_start(f);
        s = sender_open();
        world_hold_disk(true);
        m.flags = MESSAGE_TRANSIENT;
        send_message(s, m);
        expect_answer(s, 1, OUTCOME_ACKED, "");
        assert_int_equal(f->receiver->jobs.n_answered_early, 1);
        assert_int_equal(jobs_taken(&f->receiver->jobs), 0);
        send_message(s, m); /* asks again: now it waits for the disk */
        expect_answer(s, 1, OUTCOME_WORKING, "");
        assert_int_equal(f->receiver->jobs.n_answered_early, 0);
        world_hold_disk(false);
        world_advance(USEC_PER_SEC);
        expect_answer(s, 1, OUTCOME_ACKED, "");
        expect_nothing(s);
        assert_int_equal(f->receiver->jobs.n, 0);
}

/* An attempt fails. While the disk hangs or refuses its record, the next one is asked for; then the disk is
 * well again. The record is not the outcome of that next attempt. */
static TestSocket *ask_while_a_failure_is_recorded(Fixture *f, MessageFrame *m, bool refused)
{
        TestSocket *s;

        fixture_set_command(f, "work");
        fixture_start(f);
        s = sender_open();
        send_message(s, *m);
        if (refused)
                fake_disk_fail(1, EIO, true);
        else
                world_hold_disk(true);
        world_child_end(world_child(0), 1, NULL);
        world_settle();
        m->attempt = 2;
        send_message(s, *m);
        expect_answer(s, 1, OUTCOME_WORKING, "");
        fake_disk_fail(0, 0, false);
        world_hold_disk(false);
        world_advance(1500 * USEC_PER_MSEC);
        Frame a = next_frame(s);
        assert_int_equal(a.answer.outcome, OUTCOME_BUSY);
        assert_int_equal(a.answer.attempt, 2);
        return s;
}

static void test_asks_while_a_failure_is_recorded(void **state)
{
        MessageFrame m = message(1, "x");
        TestSocket *s = ask_while_a_failure_is_recorded(*state, &m, false);

        send_message(s, m);
        assert_non_null(world_child(0));
        fixture_child_ends(0, NULL);
        expect_answer(s, 1, OUTCOME_ACKED, "");
}

/* Memory and disk have the same attempt, also when the disk took the record at the second try. */
static void test_asks_while_the_disk_refuses_a_failure(void **state)
{
        Fixture *f = *state;
        MessageFrame m = message(1, "x");
        TestSocket *s;

        (void) ask_while_a_failure_is_recorded(f, &m, true);
        fixture_restart(f);
        s = sender_open();
        send_message(s, m); /* it has not run, so it runs */
        fixture_child_ends(0, NULL);
        expect_answer(s, 1, OUTCOME_ACKED, "");
}

/* Its handler has run and must not run again: the record is tried until the disk takes it. */
static void test_disk_refuses(void **state)
{
        Fixture *f = *state;
        TestSocket *s;

        fixture_set_command(f, "work");
        fixture_start(f);
        s = sender_open();
        send_message(s, message(1, "x"));
        fake_disk_fail(1, ENOSPC, true);
        fixture_child_ends(0, "reply");
        expect_nothing(s);
        world_advance(1500 * USEC_PER_MSEC);
        expect_nothing(s);
        send_message(s, message(1, "x"));
        fake_disk_fail(0, 0, false);
        expect_answer(s, 1, OUTCOME_WORKING, "");
        assert_null(world_child(0));
        world_advance(USEC_PER_SEC);
        expect_answer(s, 1, OUTCOME_ACKED, "reply");
        fixture_restart(f);
        s = sender_open();
        send_message(s, message(1, "x"));
        expect_answer(s, 1, OUTCOME_ACKED, "reply");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
                        TEST(test_memory),
                        TEST(test_asks_while_a_failure_is_recorded),
                        TEST(test_asks_while_the_disk_refuses_a_failure),
                        TEST(test_disk_refuses),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
