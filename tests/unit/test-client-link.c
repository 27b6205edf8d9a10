/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Connections to receivers: greeting, credit, failures, failover; plain text. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client-fixture.h"
#include "client/intake/explain.h"

static void test_greeting(void **state)
{
        const WelcomeFrame wrong = {.receiver = id_of('b'), .credit = 4, .window = 8, .max_payload = 8};

        list("a");
        (void) send_to("a", "x");
        fake_connection_accept(wire('a'));
        send_frame('a', &(Frame){.type = FRAME_WELCOME, .welcome = wrong});
        assert_null(wire('a'));
        assert_int_equal(peer_of('a')->link.failures, 1);
        assert_string_equal(peer_state_name(peer_of('a')), "unreachable");
        pass(USEC_PER_SEC);
        fake_connection_accept(wire('a'));
        send_frame('a', &(Frame){.type = FRAME_CREDIT, .credit = 1}); /* before WELCOME */
        assert_null(wire('a'));
        pass(USEC_PER_SEC);
        fake_connection_accept(wire('a'));
        send_frame('a', &(Frame){.type = FRAME_ERROR, .text = {(const uint8_t *) "full", 4}});
        assert_null(wire('a'));
        pass(5 * USEC_PER_SEC);
        fake_connection_accept(wire('a'));
        pass(config.policy.ack_timeout_usec); /* it says nothing */
        assert_string_equal(peer_of('a')->link.problem, "tcp:host:97: Connection timed out");
        pass(5 * USEC_PER_SEC);
        welcome('a', 2);
        (void) expect_message('a', "x");
        assert_string_equal(peer_state_name(peer_of('a')), "connected");
}

static void test_nonsense_ends_the_connection(void **state)
{
        list("a");
        Message *m = send_to("a", "x");
        welcome('a', 2);
        MessageFrame f = expect_message('a', "x");
        send_frame('a', &(Frame){.type = FRAME_HELLO, .hello = {.name = {(const uint8_t *) "h", 1}}});
        assert_null(wire('a'));
        assert_state(m, DELIVERY_BOUND);
        pass(5 * USEC_PER_SEC);
        welcome('a', 2);
        f = expect_message('a', "x");
        assert_int_equal(f.flags, MESSAGE_POSSIBLE_DUPLICATE);
        fake_connection_send(wire('a'), "GET / HTTP/1.1\r\n\r\n", 18);
        run();
        assert_null(wire('a'));
        pass(5 * USEC_PER_SEC);
        welcome('a', 2);
        send_frame('a', &(Frame){.type = FRAME_WELCOME, .welcome = {.receiver = id_of('a'), .window = 1}});
        assert_null(wire('a'));
        assert_events("accepted bound sent disconnected sent disconnected sent disconnected");
}

static void test_credit(void **state)
{
        list("a");
        (void) send_to("a", "1");
        (void) send_to("a", "2");
        (void) send_to("a", "3");
        welcome('a', 2);
        MessageFrame f = expect_message('a', "1");
        (void) expect_message('a', "2");
        expect_nothing('a');
        answer('a', &f, OUTCOME_ACKED, "");
        (void) expect_message('a', "3");
        (void) send_to("a", "4");
        expect_nothing('a');
        send_frame('a', &(Frame){.type = FRAME_CREDIT, .credit = 3});
        (void) expect_message('a', "4");
}

static void test_without_credit_one_goes_as_a_probe(void **state)
{
        list("a");
        (void) send_to("a", "1");
        (void) send_to("a", "2");
        welcome('a', 0);
        (void) expect_message('a', "1");
        expect_nothing('a');
}

static void test_urgent_ones_first(void **state)
{
        Submission s = submission(SELECTOR_TO, "a", "urgent");

        list("a");
        (void) send_to("a", "1");
        (void) send_to("a", "2");
        s.policy.priority = PRIORITY_MAX;
        assert_int_equal(submit(s), 0);
        welcome('a', 9);
        (void) expect_message('a', "urgent");
        (void) expect_message('a', "1");
        (void) expect_message('a', "2");
}

static void test_a_receiver_that_does_not_read(void **state)
{
        static char payload[PAYLOAD_DEFAULT_MAX];

        list("a");
        memset(payload, 'x', sizeof payload - 1);
        (void) send_to("a", "first");
        welcome('a', 9);
        (void) expect_message('a', "first");
        fake_connection_block(wire('a'), true);
        Message *m = send_to("a", payload);
        Message *next = send_to("a", "next");
        assert_state(m, DELIVERY_SENT);
        assert_state(next, DELIVERY_BOUND); /* too much waits in the output */
        fake_connection_block(wire('a'), false);
        (void) expect_message('a', payload);
        (void) expect_message('a', "next");
}

static void test_failover(void **state)
{
        list("ab");
        Message *m = send_any("x");
        assert_state(m, DELIVERY_QUEUED);
        welcome('a', 1); /* it connects to both, and the first one gets it */
        MessageFrame f = expect_message('a', "x");
        welcome('b', 1);
        answer('a', &f, OUTCOME_BUSY, "");
        f = expect_message('b', "x");
        assert_events("accepted bound sent busy queued bound sent");

        /* It may have run at b: it stays there until b is gone, as discovery and a try to connect say. */
        hang_up('b', -ECONNRESET);
        assert_state(m, DELIVERY_BOUND);
        list("a");
        expect_nothing('a');
        fake_connection_fail(ECONNREFUSED, true);
        pass(5 * USEC_PER_SEC);
        f = expect_message('a', "x");
        assert_int_equal(f.flags, MESSAGE_POSSIBLE_DUPLICATE);
        answer('a', &f, OUTCOME_ACKED, "");
        assert_state(m, DELIVERY_ACKED);
}

static void test_never_written_it_moves_at_once(void **state)
{
        list("a");
        Message *m = send_any("x");
        welcome('a', 1);
        (void) expect_message('a', "x");
        list("ab");
        welcome('b', 4);
        m = send_any("second");
        (void) expect_message('b', "second");
        hang_up('b', 0);
        assert_state(m, DELIVERY_BOUND);
}

static void test_goodbye(void **state)
{
        Frame f;

        list("a");
        (void) send_to("a", "1");
        welcome('a', 4);
        (void) expect_message('a', "1");
        send_frame('a', &(Frame){.type = FRAME_GOODBYE, .reason = GOODBYE_RESTARTING});
        assert_true(next_frame('a', &f));
        assert_int_equal(f.type, FRAME_GOODBYE);
        (void) send_to("a", "2");
        expect_nothing('a'); /* no MESSAGE follows */
        hang_up('a', 0);
        pass(1); /* it comes back at once */
        welcome('a', 4);
        (void) expect_message('a', "1");
        (void) expect_message('a', "2");
}

static void test_goodbye_moves_what_was_not_written(void **state)
{
        static char payload[PAYLOAD_DEFAULT_MAX];

        memset(payload, 'x', sizeof payload - 1);
        list("b");
        (void) send_any("1");
        welcome('b', 9);
        (void) expect_message('b', "1");
        fake_connection_block(wire('b'), true);
        Message *large = send_any(payload);
        Message *m = send_any("2");
        assert_state(large, DELIVERY_SENT);
        assert_state(m, DELIVERY_BOUND);
        list("ab");
        welcome('a', 9);
        assert_ptr_equal(m->link.peer, peer_of('b'));
        send_frame('b', &(Frame){.type = FRAME_GOODBYE, .reason = GOODBYE_STOPPING});
        (void) expect_message('a', "2");
        assert_ptr_equal(large->link.peer, peer_of('b'));
}

static void test_no_address(void **state)
{
        list("a");
        fake_connection_set_possible(false);
        Message *m = send_to("a", "x");
        assert_null(wire('a'));
        assert_true(peer_of('a')->link.missed);
        assert_state(m, DELIVERY_QUEUED);
        fake_connection_set_possible(true);
        fake_connection_fail(EMFILE, false);
        pass(5 * USEC_PER_SEC);
        assert_int_equal(peer_of('a')->link.failures, 2);
        welcome('a', 1);
        (void) expect_message('a', "x");
}

/* More receivers than descriptors: a connection that nobody needs makes room. */
static void test_too_many_receivers(void **state)
{
        MessageFrame m;
        Explanation why;

        c->peers.n_max = 2;
        list("abc");
        assert_int_equal(submit(submission(SELECTOR_ALL, "g", "x")), 0);
        welcome('a', 4);
        welcome('b', 4);
        m = expect_message('a', "x");
        assert_null(wire('c'));
        explain(find(), &why);
        assert_non_null(strstr(
                        why.why, "c@h cannot be reached: tcp:host:99: too many connections are open"));
        assert_false(peer_of('c')->link.missed); /* it was not even tried */
        pass(USEC_PER_SEC);
        assert_null(wire('c')); /* the others are needed */
        answer('a', &m, OUTCOME_ACKED, "");
        pass(10 * USEC_PER_SEC);
        assert_null(wire('a'));
        assert_non_null(wire('b'));
        welcome('c', 4);
        m = expect_message('c', "x");
        answer('c', &m, OUTCOME_ACKED, "");
        (void) send_to("a", "y"); /* now c is idle, and b is not */
        pass(10 * USEC_PER_SEC);
        assert_null(wire('c'));
        welcome('a', 4);
        m = expect_message('a', "y");
        answer('a', &m, OUTCOME_ACKED, "");
        assert_non_null(wire('b'));

        /* For "any", receivers that are connected are enough. */
        for (unsigned i = 0; i < 4; i++) {
                (void) send_any("z");
                pass(USEC_PER_SEC);
        }
        assert_non_null(wire('a'));
        assert_null(wire('c'));
}

static void test_draining(void **state)
{
        list("ab");
        Message *m = send_any("1");
        welcome('a', 4);
        welcome('b', 4);
        MessageFrame f = expect_message('a', "1");
        list_draining("ab", "a");
        assert_string_equal(peer_state_name(peer_of('a')), "draining");
        answer('a', &f, OUTCOME_FAILED, "");
        pass(5 * USEC_PER_SEC);
        (void) expect_message('a', "1"); /* what it may know is still asked for */
        assert_state(m, DELIVERY_SENT);
        Message *second = send_to("a", "2");
        expect_nothing('a');
        list("ab");
        (void) expect_message('a', "2");
        assert_state(second, DELIVERY_SENT);
}

static void test_plain_text(void **state)
{
        Submission s = submission(SELECTOR_ANY, "", "one");

        list_plain("p");
        s.plain = true;
        assert_int_equal(submit(s), 0);
        Message *m = find();
        assert_state(m, DELIVERY_BOUND);
        s.payload = "two", s.size = 3;
        assert_int_equal(submit(s), 0);
        Message *second = find();
        assert_state(second, DELIVERY_QUEUED); /* one at a time */
        fake_connection_accept(wire('p'));
        run();
        assert_state(m, DELIVERY_SENT);
        assert_memory_equal(buffer_peek(fake_connection_received(wire('p'))), "one", 3);
        fake_connection_send(wire('p'), "AC", 2);
        assert_state(m, DELIVERY_SENT);
        fake_connection_send(wire('p'), "K", 1);
        run();
        assert_state(m, DELIVERY_ACKED);
        assert_state(second, DELIVERY_BOUND); /* there is room now */
        fake_connection_accept(wire('p'));
        run();
        fake_connection_send(wire('p'), "NAK", 3);
        run();
        assert_state(second, DELIVERY_BACKOFF);
        assert_string_equal(second->record.error, "the receiver's answer is not ACK");
        pass(5 * USEC_PER_SEC);
        fake_connection_accept(wire('p'));
        run();
        fake_connection_end(wire('p'), 0);
        run();
        assert_string_equal(second->record.error, "tcp:host:112: closed without ACK");
        assert_int_equal(message_cancel(second), 0);
        run();
        assert_state(second, DELIVERY_CANCELLED); /* nobody can be asked */
}

static void test_plain_text_that_nobody_takes(void **state)
{
        list_plain("p");
        Message *m = send_to("p", "x");
        fake_connection_end(wire('p'), -ECONNREFUSED);
        run();
        assert_state(m, DELIVERY_BOUND);
        pass(5 * USEC_PER_SEC);
        assert_non_null(wire('p'));
        pass(config.policy.ack_timeout_usec);
        assert_string_equal(peer_of('p')->link.problem, "tcp:host:112: Connection timed out");
        fake_connection_fail(EMFILE, false);
        pass(5 * USEC_PER_SEC);
        pass(5 * USEC_PER_SEC);
        fake_connection_accept(wire('p'));
        run();
        assert_state(m, DELIVERY_SENT);
        pass(config.policy.ack_timeout_usec); /* its connection is closed for the next attempt */
        assert_int_equal(m->record.attempts, 1);
        fake_connection_accept(wire('p'));
        run();
        assert_state(m, DELIVERY_SENT);
        /* An end of the message ends its connection. */
        message_give_up(m, "enough");
        run();
        assert_null(wire('p'));
        assert_state(m, DELIVERY_DEAD);
}

static Message *send_text_once(const char *payload)
{
        Submission s = submission(SELECTOR_TO, "p", payload);

        s.policy.max_attempts = 1;
        assert_int_equal(submit(s), 0);
        return find();
}

/* The last attempt of one makes room for the next one. */
static void test_plain_text_that_fails_for_good(void **state)
{
        list_plain("p");
        Message *first = send_text_once("one"), *second = send_text_once("two");
        fake_connection_accept(wire('p'));
        run();
        fake_connection_end(wire('p'), 0);
        run();
        assert_state(first, DELIVERY_DEAD);
        assert_non_null(wire('p'));
        fake_connection_accept(wire('p'));
        run();
        assert_state(second, DELIVERY_SENT);
}

static void test_plain_text_that_is_never_answered(void **state)
{
        list_plain("p");
        Message *first = send_text_once("one"), *second = send_text_once("two");
        fake_connection_accept(wire('p'));
        run();
        pass(config.policy.ack_timeout_usec);
        assert_state(first, DELIVERY_DEAD); /* nobody can be asked */
        fake_connection_accept(wire('p'));
        run();
        assert_state(second, DELIVERY_SENT);
}

static void test_a_receiver_that_left_is_remembered(void **state)
{
        list("ab");
        (void) send_to("a", "x");
        list("b");
        assert_non_null(peer_of('a')); /* something waits for it */
        assert_false(peer_of('a')->listed);
        list("");
        assert_false(peer_of('b')->listed);
        assert_int_equal(n_receiver_changes(), 4);
}

static void test_settled_streams_are_pruned(void **state)
{
        Frame s;

        list("a");
        (void) send_to("a", "x");
        welcome('a', 4);
        MessageFrame f = expect_message('a', "x");
        answer('a', &f, OUTCOME_ACKED, "");
        client_crash();
        list("a");
        assert_non_null(wire('a')); /* to end the stream of the last start */
        welcome('a', 4);
        assert_true(next_settled('a', &s));
        assert_int_equal(s.settled.flags, SETTLED_CLOSED);
        assert_true(sd_id128_equal(s.settled.stream, f.stream));
        assert_non_null(peer_of('a')->windows);
        send_frame('a', &(Frame){.type = FRAME_PRUNED, .stream = id_of('z')}); /* not known */
        send_frame('a', &(Frame){.type = FRAME_PRUNED, .stream = f.stream});
        assert_null(peer_of('a')->windows);
}

/* New messages wait, and do not hold up those that it may have started. */
static void test_a_draining_receiver_gets_what_it_has_started(void **state)
{
        list("a");
        (void) send_to("a", "started");
        (void) send_to("a", "new");
        welcome('a', 1);
        MessageFrame f = expect_message('a', "started");
        list_draining("a", "a");
        answer('a', &f, OUTCOME_FAILED, "no");
        pass(config.policy.backoff_usec);
        f = expect_message('a', "started");
        assert_int_equal(f.attempt, 2);
        answer('a', &f, OUTCOME_ACKED, "");
        expect_nothing('a');
        list("a");
        (void) expect_message('a', "new");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, client_setup, client_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                        TEST(test_greeting),
                        TEST(test_nonsense_ends_the_connection),
                        TEST(test_credit),
                        TEST(test_without_credit_one_goes_as_a_probe),
                        TEST(test_urgent_ones_first),
                        TEST(test_a_receiver_that_does_not_read),
                        TEST(test_failover),
                        TEST(test_never_written_it_moves_at_once),
                        TEST(test_goodbye),
                        TEST(test_goodbye_moves_what_was_not_written),
                        TEST(test_no_address),
                        TEST(test_too_many_receivers),
                        TEST(test_draining),
                        TEST(test_plain_text),
                        TEST(test_plain_text_that_nobody_takes),
                        TEST(test_plain_text_that_fails_for_good),
                        TEST(test_plain_text_that_is_never_answered),
                        TEST(test_a_receiver_that_left_is_remembered),
                        TEST(test_a_draining_receiver_gets_what_it_has_started),
                        TEST(test_settled_streams_are_pruned),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
