/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Draining, stopping and restarting: which phase follows which, and what each allows. */

#include "receiver-fixture.h"

#define BEAT  "/v1/receivers/" RECEIVER_TEXT_ID "/heartbeat"
#define LEAVE "/v1/receivers/" RECEIVER_TEXT_ID

static Phase phase(const Fixture *f)
{
        return f->receiver->condition.phase;
}

static void stop(Fixture *f)
{
        world_signal(f->receiver->loop, SIGTERM);
        world_settle();
}

static void expect_goodbye(TestSocket *s, GoodbyeReason reason)
{
        Frame f = next_frame(s);

        assert_int_equal(f.type, FRAME_GOODBYE);
        assert_int_equal(f.reason, reason);
}

static void say_goodbye(TestSocket *s)
{
        send_frame(s, &(Frame){.type = FRAME_GOODBYE, .reason = GOODBYE_STOPPING});
}

static void expect_end(Fixture *f)
{
        int code = -1;

        assert_true(world_has_exited(f->receiver->loop, &code));
        assert_int_equal(code, 0);
}

static void child_ends(int status)
{
        world_child_end(world_child(0), status, NULL);
        world_settle();
}

static void test_permissions(void **state)
{
        static const struct {
                Phase phase;
                IdState id;
                unsigned permits;
        } cases[] = {
                        {PHASE_SERVING, ID_OURS, MAY_ACCEPT | MAY_GREET | MAY_BEGIN | MAY_RUN | MAY_PRUNE},
                        {PHASE_DRAINING, ID_OURS, MAY_ACCEPT | MAY_GREET | MAY_RUN | MAY_PRUNE},
                        {PHASE_STOPPING, ID_OURS, MAY_GREET | MAY_PRUNE},
                        {PHASE_LEAVING, ID_OURS, MAY_GREET | MAY_PRUNE},
                        {PHASE_SERVING, ID_NONE, MAY_BEGIN | MAY_RUN | MAY_PRUNE},
                        {PHASE_SERVING, ID_DISPUTED, MAY_ACCEPT | MAY_BEGIN | MAY_RUN | MAY_PRUNE},
                        {PHASE_DRAINING, ID_DISPUTED, MAY_ACCEPT | MAY_RUN | MAY_PRUNE},
                        {PHASE_SERVING, ID_RENEWING, 0},
                        {PHASE_PARTING, ID_RENEWING, 0},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                for (unsigned what = MAY_ACCEPT; what <= MAY_PRUNE; what <<= 1)
                        assert_int_equal(condition_permits(&(Condition){cases[i].phase, cases[i].id}, what),
                                        (cases[i].permits & what) != 0);

        Condition c = {PHASE_SERVING, ID_OURS};
        assert_false(condition_drain(&c, false));
        assert_true(condition_drain(&c, true));
        assert_false(condition_drain(&c, true));
        assert_true(condition_drain(&c, false));
        c.phase = PHASE_STOPPING;
        assert_false(condition_drain(&c, true));
        assert_int_equal(c.phase, PHASE_STOPPING);
}

static void beat(Fixture *f, const char *body)
{
        world_advance(10 * USEC_PER_SEC);
        world_answer(asked("POST", BEAT), 200, body);
        world_settle();
}

static void test_drain_and_resume(void **state)
{
        Fixture *f = *state;
        TestSocket *s;

        f->config.concurrency = 2;
        fixture_set_command(f, "work");
        fixture_start(f);
        s = sender_open();
        send_message(s, message(1, "x"));
        send_message(s, message(2, "x"));
        beat(f, "{\"lease_seconds\":30,\"draining\":true}");
        assert_int_equal(phase(f), PHASE_DRAINING);
        while (buffer_size(world_received(s)) > 0)
                assert_int_equal(next_frame(s).answer.outcome, OUTCOME_WORKING);
        send_message(s, message(3, "x"));
        expect_answer(s, 3, OUTCOME_BUSY, "");
        child_ends(0);
        expect_answer(s, 1, OUTCOME_ACKED, "");
        child_ends(0); /* what it has it finishes */
        expect_answer(s, 2, OUTCOME_ACKED, "");
        send_message(s, message(2, "x"));
        expect_answer(s, 2, OUTCOME_ACKED, "");
        beat(f, "no JSON");
        assert_int_equal(phase(f), PHASE_DRAINING);
        beat(f, "{\"lease_seconds\":30,\"draining\":false}");
        assert_int_equal(phase(f), PHASE_SERVING);
        send_message(s, message(3, "x"));
        assert_non_null(world_child(0));
}

static void test_stop_when_idle(void **state)
{
        Fixture *f = *state;
        TestSocket *s, *quiet;

        fixture_start(f);
        s = sender_open();
        quiet = world_connect(RECEIVER_ADDRESS);
        world_settle();
        stop(f);
        assert_string_equal(world_status(), "Finishing what runs");
        expect_goodbye(s, GOODBYE_STOPPING);
        assert_true(world_is_closed(quiet)); /* it has said nothing */
        assert_int_equal(phase(f), PHASE_FLUSHING);
        send_message(s, message(1, "x"));
        expect_answer(s, 1, OUTCOME_BUSY, "");
        say_goodbye(s);
        assert_int_equal(phase(f), PHASE_LEAVING);
        TestRequest *q = asked("DELETE", LEAVE);
        assert_string_equal(q->token, "t1");
        assert_false(world_has_exited(f->receiver->loop, NULL));
        world_answer(q, 204, "");
        world_settle();
        expect_end(f);
}

static void test_new_connections_wait(void **state)
{
        Fixture *f = *state;
        TestSocket *s, *late;

        fixture_set_command(f, "work");
        fixture_start(f);
        s = sender_open();
        send_message(s, message(1, "x"));
        stop(f);
        expect_goodbye(s, GOODBYE_STOPPING);
        late = world_connect(RECEIVER_ADDRESS);
        world_settle();
        assert_int_equal(f->receiver->conns.n, 1);
        expect_nothing(late);
}

/* What runs is finished and answered; what is queued is not begun. */
static void test_stop_with_handlers(void **state)
{
        Fixture *f = *state;
        TestSocket *s;

        fixture_set_command(f, "work");
        fixture_start(f);
        s = sender_open();
        send_message(s, message(1, "x"));
        send_message(s, message(2, "x"));
        stop(f);
        expect_answer(s, 2, OUTCOME_BUSY, "");
        expect_goodbye(s, GOODBYE_STOPPING);
        assert_int_equal(phase(f), PHASE_PARTING);
        say_goodbye(s);
        assert_int_equal(phase(f), PHASE_PARTING);
        world_advance(1900 * USEC_PER_MSEC);
        child_ends(0);
        expect_answer(s, 1, OUTCOME_ACKED, "");
        assert_int_equal(phase(f), PHASE_LEAVING);
        world_advance(2 * USEC_PER_SEC); /* discovery does not answer */
        expect_end(f);
}

/* StopTimeoutSec= is over: the handler is killed, and nothing is recorded. */
static void test_impatient(void **state)
{
        Fixture *f = *state;
        TestSocket *s;

        f->config.stop_timeout_usec = USEC_PER_SEC;
        fixture_set_command(f, "work");
        fixture_start(f);
        s = sender_open();
        send_message(s, message(1, "x"));
        stop(f);
        expect_goodbye(s, GOODBYE_STOPPING);
        say_goodbye(s);
        world_advance(999 * USEC_PER_MSEC);
        assert_non_null(world_child(0));
        world_advance(USEC_PER_MSEC);
        assert_null(world_child(0));
        expect_nothing(s);
        assert_int_equal(phase(f), PHASE_LEAVING);
        world_answer(asked("DELETE", LEAVE), 204, "");
        world_settle();
        expect_end(f);

        fixture_end(f);
        assert_int_equal(fixture_new(f), 0);
        fixture_register(RECEIVER_TEXT_ID, 30);
        s = sender_open();
        send_message(s, message(1, "x"));
        assert_non_null(world_child(0)); /* as if it had not been begun */
}

/* A disk that hangs: a little more, then the end. */
static void test_disk_hangs(void **state)
{
        Fixture *f = *state;
        TestSocket *s;

        f->config.stop_timeout_usec = USEC_PER_SEC;
        fixture_start(f);
        s = sender_open();
        world_hold_disk(true);
        send_message(s, message(1, "x"));
        stop(f);
        expect_goodbye(s, GOODBYE_STOPPING);
        say_goodbye(s);
        world_advance(USEC_PER_SEC);
        assert_true(f->receiver->stop.killed);
        assert_false(world_has_exited(f->receiver->loop, NULL));
        world_advance(5 * USEC_PER_SEC);
        expect_end(f);
        world_hold_disk(false);
}

static void test_client_does_not_answer(void **state)
{
        Fixture *f = *state;
        TestSocket *s;

        fixture_start(f);
        s = sender_open();
        stop(f);
        expect_goodbye(s, GOODBYE_STOPPING);
        world_advance(1999 * USEC_PER_MSEC);
        assert_int_equal(phase(f), PHASE_FLUSHING);
        world_advance(USEC_PER_MSEC);
        assert_int_equal(phase(f), PHASE_LEAVING);
        world_advance(5 * USEC_PER_SEC);
        expect_end(f);
}

/* A client that goes has parted, too. */
static void test_client_goes(void **state)
{
        Fixture *f = *state;
        TestSocket *s;

        fixture_start(f);
        s = sender_open();
        stop(f);
        world_close(s, 0);
        world_settle();
        assert_int_equal(phase(f), PHASE_LEAVING);
}

/* Discovery is not told, and clients come back at once. */
static void test_restart(void **state)
{
        Fixture *f = *state;
        TestSocket *s;

        fixture_start(f);
        s = sender_open();
        world_restarting(true);
        stop(f);
        expect_goodbye(s, GOODBYE_RESTARTING);
        say_goodbye(s);
        assert_null(world_request(""));
        expect_end(f);
}

static void test_stop_before_registered(void **state)
{
        Fixture *f = *state;

        assert_int_equal(fixture_new(f), 0);
        stop(f);
        expect_end(f);
}

/* The identity is written, but nobody is told any more. */
static void test_stop_while_registering(void **state)
{
        Fixture *f = *state;

        assert_int_equal(fixture_new(f), 0);
        world_hold_disk(true);
        fixture_register(RECEIVER_TEXT_ID, 30);
        stop(f);
        world_hold_disk(false);
        world_settle();
        assert_int_equal(world_n_ready(), 0);
        world_advance(5 * USEC_PER_SEC);
        expect_end(f);
}

static void test_second_signal(void **state)
{
        Fixture *f = *state;
        int code = -1;

        fixture_set_command(f, "work");
        fixture_start(f);
        send_message(sender_open(), message(1, "x"));
        stop(f);
        stop(f);
        assert_true(world_has_exited(f->receiver->loop, &code));
        assert_int_equal(code, EXIT_FAILURE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
                        TEST(test_permissions),
                        TEST(test_drain_and_resume),
                        TEST(test_stop_when_idle),
                        TEST(test_new_connections_wait),
                        TEST(test_stop_with_handlers),
                        TEST(test_impatient),
                        TEST(test_disk_hangs),
                        TEST(test_client_does_not_answer),
                        TEST(test_client_goes),
                        TEST(test_restart),
                        TEST(test_stop_before_registered),
                        TEST(test_stop_while_registering),
                        TEST(test_second_signal),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
