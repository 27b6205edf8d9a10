/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One run of a handler: its environment, what it reports, what its end means. */

#include "receiver-fixture.h"

static TestSocket *start(Fixture *f)
{
        fixture_set_command(f, "work");
        fixture_start(f);
        return sender_open();
}

static Frame run(TestSocket *s, uint64_t sequence, const char *report, int status, const char *output)
{
        send_message(s, message(sequence, "x"));
        if (report)
                world_report(world_child(0), report);
        world_child_end(world_child(0), status, output);
        world_settle();
        assert_int_equal(warden_count(), 0);
        return next_frame(s);
}

static void test_ends(void **state)
{
        static const struct {
                int status;
                const char *report;
                Outcome outcome;
                const char *data;
        } cases[] = {
                        {0, NULL, OUTCOME_ACKED, "out"},
                        {0, "error not really", OUTCOME_ACKED, "out"},
                        {1, NULL, OUTCOME_FAILED, "handler exited with status 1"},
                        {64, NULL, OUTCOME_FAILED, "handler exited with status 64"},
                        {65, NULL, OUTCOME_REJECTED, "handler exited with status 65"},
                        {66, NULL, OUTCOME_FAILED, "handler exited with status 66"},
                        {67, NULL, OUTCOME_REJECTED, "handler exited with status 67"},
                        {68, NULL, OUTCOME_REJECTED, "handler exited with status 68"},
                        {75, NULL, OUTCOME_FAILED, "handler exited with status 75"},
                        {76, NULL, OUTCOME_REJECTED, "handler exited with status 76"},
                        {77, NULL, OUTCOME_REJECTED, "handler exited with status 77"},
                        {77, "error not allowed", OUTCOME_REJECTED, "not allowed"},
                        {126, NULL, OUTCOME_FAILED, "handler exited with status 126"},
                        {128 + SIGTERM, NULL, OUTCOME_FAILED, "handler killed by signal 15"},
                        {128 + SIGKILL, NULL, OUTCOME_FAILED, "handler killed by signal 9"},
                        {128 + SIGSEGV, "error oops\x1b", OUTCOME_FAILED, "oops\\x1b"},
        };
        TestSocket *s = start(*state);

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Frame f = run(s, i + 1, cases[i].report, cases[i].status, "out");

                assert_string_equal(
                                outcome_to_string(f.answer.outcome), outcome_to_string(cases[i].outcome));
                assert_true(bytes_equal(f.answer.data, cases[i].data));
        }
}

static void test_reports(void **state)
{
        TestSocket *s = start(*state);
        Frame f;

        f = run(s, 1, "retry 30s", 1, NULL);
        assert_int_equal(f.answer.outcome, OUTCOME_FAILED);
        assert_int_equal(f.answer.delay_ms, 30000);
        f = run(s, 2, "retry soon", 1, NULL);
        assert_int_equal(f.answer.delay_ms, 0);
        f = run(s, 3, "progress 101", 0, NULL);
        assert_int_equal(f.answer.outcome, OUTCOME_ACKED);
        f = run(s, 4, "progress many", 0, NULL);
        assert_int_equal(f.answer.outcome, OUTCOME_ACKED);
        f = run(s, 5, "hello", 0, NULL);
        assert_int_equal(f.answer.outcome, OUTCOME_ACKED);
        f = run(s, 7, "retry 49d", 1, NULL);
        assert_int_equal(f.answer.delay_ms, 49u * 24 * 3600 * 1000);
        f = run(s, 8, "retry 60d", 1, NULL);
        assert_int_equal(f.answer.delay_ms, 0);
        f = run(s, 6, "progress 7", 0, NULL);
        assert_int_equal(f.answer.outcome, OUTCOME_WORKING);
        assert_true(bytes_equal(f.answer.data, "7"));
}

static void test_time_limit(void **state)
{
        Fixture *f = *state;
        TestSocket *s;

        f->config.handler_timeout_usec = 5 * USEC_PER_SEC;
        s = start(f);
        send_message(s, message(1, "x"));
        world_advance(1500 * USEC_PER_MSEC);
        world_report(world_child(0), "error never mind");
        world_advance(4 * USEC_PER_SEC);
        expect_answer(s, 1, OUTCOME_WORKING, NULL);
        expect_answer(s, 1, OUTCOME_WORKING, NULL);
        expect_answer(s, 1, OUTCOME_FAILED, "time limit of 5s");
}

static void test_environment(void **state)
{
        char id[SD_ID128_UUID_STRING_MAX];
        MessageFrame m = message(9, "x");
        TestSocket *s;

        setenv("NOTIFY_SOCKET", "/run/notify", true);
        setenv("ACKGROUP_MESSAGE", "mine", true);
        setenv("KEPT", "1", true);
        s = start(*state);
        m.flags = MESSAGE_POSSIBLE_DUPLICATE;
        m.attempt = 2;
        send_message(s, m);
        const TestChild *c = world_child(0);
        assert_string_equal(c->path, "/fake/work");
        assert_string_equal(c->arguments[0], "work");
        assert_null(world_environment(c, "NOTIFY_SOCKET"));
        assert_string_equal(world_environment(c, "KEPT"), "1");
        assert_string_equal(world_environment(c, "ACKGROUP_MESSAGE"),
                        sd_id128_to_uuid_string(message_id(9), id));
        assert_string_equal(world_environment(c, "ACKGROUP_SENDER_NAME"), "host");
        assert_string_equal(world_environment(c, "ACKGROUP_SEQUENCE"), "9");
        assert_string_equal(world_environment(c, "ACKGROUP_ATTEMPT"), "2");
        assert_string_equal(world_environment(c, "ACKGROUP_STREAM"), sd_id128_to_uuid_string(stream_a, id));
        assert_string_equal(world_environment(c, "ACKGROUP_RECEIVER"), RECEIVER_TEXT_ID);
        assert_string_equal(world_environment(c, "ACKGROUP_RECEIVER_NAME"), "one");
        assert_string_equal(world_environment(c, "ACKGROUP_REPORT_FD"), "3");
        assert_string_equal(world_environment(c, "ACKGROUP_POSSIBLE_DUPLICATE"), "1");
        unsetenv("NOTIFY_SOCKET");
        unsetenv("ACKGROUP_MESSAGE");
}

/* What it said last on standard error is a part of the reason, unless it reports one. */
static void test_last_words(void **state)
{
        TestSocket *s = start(*state);

        send_message(s, message(1, "x"));
        world_error_line(world_child(0), "trying");
        world_error_line(world_child(0), "no paper\x1b");
        world_error_line(world_child(0), " ");
        world_child_end(world_child(0), 3, NULL);
        world_settle();
        expect_answer(s, 1, OUTCOME_FAILED, "handler exited with status 3: no paper\\x1b");
        send_message(s, message(2, "x"));
        world_error_line(world_child(0), "<3>no paper");
        world_report(world_child(0), "error no ink");
        world_child_end(world_child(0), 3, NULL);
        world_settle();
        expect_answer(s, 2, OUTCOME_FAILED, "no ink");
}

/* Out of processes: messages are refused until it works again. */
static void test_cannot_start(void **state)
{
        Fixture *f = *state;
        TestSocket *s = start(f);

        world_spawn_error(-EAGAIN);
        send_message(s, message(1, "x"));
        expect_answer(s, 1, OUTCOME_BUSY, "");
        send_message(s, message(1, "x"));
        expect_answer(s, 1, OUTCOME_BUSY, "");
        assert_true(f->receiver->handler.cannot_run);
        assert_int_equal(f->receiver->jobs.n, 0);
        assert_false(f->receiver->jobs.depth.known); /* it tells nothing about how long handlers take */
        world_spawn_error(0);
        send_message(s, message(1, "x"));
        assert_non_null(world_child(0));
        assert_false(f->receiver->handler.cannot_run);
        assert_string_equal(world_environment(world_child(0), "ACKGROUP_ATTEMPT"), "1");
}

static void test_no_such_program(void **state)
{
        Fixture *f = *state;

        fixture_set_command(f, "missing-program");
        assert_int_equal(fixture_new(f), -EINVAL);
        assert_string_equal(f->error.text, "cannot run the handler missing-program: No such file or "
                                           "directory (it is in no directory of PATH)");
}

/* Without a command. */
static void test_built_in(void **state)
{
        TestSocket *s;

        fixture_start(*state);
        s = sender_open();
        for (uint64_t i = 1; i <= 10; i++) {
                send_message(s, message(i, "hello\n"));
                expect_answer(s, i, OUTCOME_ACKED, "");
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
                        TEST(test_ends),
                        TEST(test_reports),
                        TEST(test_time_limit),
                        TEST(test_environment),
                        TEST(test_last_words),
                        TEST(test_cannot_start),
                        TEST(test_no_such_program),
                        TEST(test_built_in),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
