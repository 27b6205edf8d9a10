/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Receivers that refuse, and receivers that are silent. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client-fixture.h"

/* One refused message speaks for all of its receiver. */
static void test_busy_is_about_the_receiver(void **state)
{
        MessageFrame f[3];

        list("a");
        for (unsigned i = 0; i < 5; i++)
                (void) send_to("a", "x");
        welcome('a', 3);
        for (unsigned i = 0; i < 3; i++)
                f[i] = expect_message('a', "x");
        for (unsigned i = 0; i < 3; i++)
                answer('a', f + i, OUTCOME_BUSY, "");
        expect_nothing('a');
        send_frame('a', &(Frame){.type = FRAME_CREDIT, .credit = 3});
        f[0] = expect_message('a', "x");
        expect_nothing('a'); /* a probe */
        answer('a', f, OUTCOME_WORKING, "");
        (void) expect_message('a', "x");
        (void) expect_message('a', "x");
        expect_nothing('a');
}

/* Refused for ever: at most one message for each pause, and the pauses grow. */
static void test_busy_for_ever(void **state)
{
        MessageFrame f;
        unsigned n = 0;

        list("a");
        for (unsigned i = 0; i < 5; i++)
                (void) send_any("x");
        welcome('a', 3);
        for (unsigned i = 0; i < 3; i++) {
                f = expect_message('a', "x");
                answer('a', &f, OUTCOME_BUSY, "");
        }
        for (unsigned i = 0; i < 6000; i++) {
                Frame probe;

                pass(10 * USEC_PER_MSEC);
                if (!next_frame('a', &probe))
                        continue;
                n++;
                f = probe.message;
                answer('a', &f, OUTCOME_BUSY, "");
                expect_nothing('a');
        }
        assert_in_range(n, 10, 60);
}

/* Its kernel takes the bytes, but the process is frozen. */
static void test_a_frozen_receiver(void **state)
{
        const uint64_t half = config.policy.ack_timeout_usec / 2;
        Frame f;

        receivers_are_frozen = true;
        list("a");
        (void) send_to("a", "1");
        welcome('a', 1);
        (void) expect_message('a', "1");
        pass(half);
        assert_true(read_frame('a', &f));
        assert_int_equal(f.type, FRAME_PING);
        assert_non_null(wire('a'));
        pass(half);
        assert_non_null(strstr(events(), "disconnected"));
}

/* Its kernel takes what is sent again, too: that is no sign of life. */
static void test_a_frozen_receiver_gets_more(void **state)
{
        const uint64_t timeout = config.policy.ack_timeout_usec, moment = timeout / 16;
        unsigned n = 0;
        MessageFrame f;

        list("a");
        (void) send_to("a", "1");
        welcome('a', 2);
        (void) expect_message('a', "1");
        (void) send_to("a", "2");
        f = expect_message('a', "2");
        pass(timeout - moment);
        answer('a', &f, OUTCOME_ACKED, "");
        receivers_are_frozen = true;
        for (; n < 5 && !strstr(events(), "disconnected"); n++) {
                fake_connection_block(wire('a'), true);
                pass(2 * moment);
                fake_connection_block(wire('a'), false);
                pass(timeout - 2 * moment);
        }
        assert_in_range(n, 1, 2);
}

/* What has not left the client was not sent: another receiver gets it at once, without the flag. */
static void test_what_has_not_left(void **state)
{
        MessageFrame f;
        Message *m;

        list("ab");
        (void) send_to("a", "1");
        welcome('a', 4);
        (void) expect_message('a', "1");
        fake_connection_block(wire('a'), true);
        m = send_any("2");
        assert_state(m, DELIVERY_SENT);
        hang_up('a', -ECONNRESET);
        welcome('b', 4);
        f = expect_message('b', "2");
        assert_int_equal(f.attempt, 1);
        assert_false(f.flags & MESSAGE_POSSIBLE_DUPLICATE);
        pass(USEC_PER_SEC);
        welcome('a', 4);
        f = expect_message('a', "1");
        assert_true(f.flags & MESSAGE_POSSIBLE_DUPLICATE);
}

/* A frozen receiver costs one attempt: the next one does not leave the client any more. */
static void test_a_frozen_receiver_costs_one_attempt(void **state)
{
        MessageFrame f;
        Message *m;

        list("ab");
        m = send_any("1");
        welcome('a', 4);
        f = expect_message('a', "1");
        welcome('b', 4);
        fake_connection_block(wire('a'), true);
        while (m->record.attempts == 0)
                pass(config.policy.ack_timeout_usec / 8);
        assert_non_null(strstr(events(), "sent no-ack sent disconnected"));
        fake_connection_fail(ECONNREFUSED, true);
        list("b");
        pass(5 * USEC_PER_SEC);
        f = expect_message('b', "1");
        assert_int_equal(f.attempt, 2);
        assert_true(f.flags & MESSAGE_POSSIBLE_DUPLICATE);
}

/* A receiver that says nothing about the message, but answers PING, keeps its connection. */
static void test_a_silent_receiver(void **state)
{
        list("a");
        (void) send_to("a", "1");
        welcome('a', 1);
        (void) expect_message('a', "1");
        pass(3 * config.policy.ack_timeout_usec);
        (void) expect_message('a', "1");
        assert_null(strstr(events(), "disconnected"));
}

/* While nothing is unanswered, nobody is asked. */
static void test_an_idle_receiver(void **state)
{
        MessageFrame m;
        Frame f;

        receivers_are_frozen = true;
        list("a");
        (void) send_to("a", "1");
        welcome('a', 1);
        m = expect_message('a', "1");
        answer('a', &m, OUTCOME_ACKED, "");
        pass(5 * config.policy.ack_timeout_usec);
        while (read_frame('a', &f))
                assert_int_not_equal(f.type, FRAME_PING);
        assert_non_null(wire('a'));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, client_setup, client_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                        TEST(test_busy_is_about_the_receiver),
                        TEST(test_busy_for_ever),
                        TEST(test_a_frozen_receiver),
                        TEST(test_a_frozen_receiver_gets_more),
                        TEST(test_what_has_not_left),
                        TEST(test_a_frozen_receiver_costs_one_attempt),
                        TEST(test_a_silent_receiver),
                        TEST(test_an_idle_receiver),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
