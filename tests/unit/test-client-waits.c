/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Each state in which a message waits has an event that ends the wait. One test for each pair of which one
 * can be missed, since something else happens at the same moment. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client-fixture.h"

/* Draining begins while the binding is on its way to the disk. */
static void test_bound_while_draining_begins(void **state)
{
        list("a");
        (void) send_any("1");
        welcome('a', 4);
        (void) expect_message('a', "1");
        fake_worker_hang(true);
        assert_int_equal(submit(submission(SELECTOR_ANY, "", "2")), 0);
        list_draining("ab", "a");
        welcome('b', 4);
        fake_worker_hang(false);
        run();
        (void) expect_message('b', "2");
        expect_nothing('a');
}

/* The same for a message that was queued before. */
static void test_taken_from_the_queue_while_draining_begins(void **state)
{
        list("");
        (void) send_any("1");
        list("a");
        fake_worker_hang(true);
        welcome('a', 4);
        list_draining("ab", "a");
        welcome('b', 4);
        fake_worker_hang(false);
        run();
        (void) expect_message('b', "1");
        expect_nothing('a');
}

/* Bindings that were given up leave the window when that is on disk; nothing else happens then. */
static void test_room_in_the_window_of_given_up_bindings(void **state)
{
        static char payload[PAYLOAD_DEFAULT_MAX];

        memset(payload, 'x', sizeof payload - 1);
        list("a");
        (void) send_any("first");
        welcome('a', 5000);
        MessageFrame f = expect_message('a', "first");
        answer('a', &f, OUTCOME_ACKED, "");
        fake_connection_block(wire('a'), true);
        Message *m = send_any(payload); /* it fills the output */
        for (unsigned i = 0; i < STREAM_WINDOW; i++)
                assert_int_equal(submit(submission(SELECTOR_ANY, "", "x")), 0);
        assert_true(peer_of('a')->full);
        fake_worker_hang(true);
        f = (MessageFrame){.stream = m->record.stream, m->record.sequence, m->record.id, 1};
        answer('a', &f, OUTCOME_BUSY, "");
        assert_int_equal(peer_of('a')->n_bound, 0);
        fake_connection_block(wire('a'), false);
        pass(USEC_PER_SEC); /* the pause */
        fake_worker_hang(false);
        run();
        (void) expect_message('a', payload);
        (void) expect_message('a', payload);
}

/* Idle connections to receivers of another group use all descriptors. */
static void test_any_makes_room_for_a_connection(void **state)
{
        c->peers.n_max = 2;
        list("abC"); /* C is alone in the group G */
        assert_int_equal(submit(submission(SELECTOR_ALL, "g", "x")), 0);
        welcome('a', 4);
        welcome('b', 4);
        MessageFrame f = expect_message('a', "x");
        answer('a', &f, OUTCOME_ACKED, "");
        f = expect_message('b', "x");
        answer('b', &f, OUTCOME_ACKED, "");
        assert_int_equal(submit(submission(SELECTOR_ANY, "G", "y")), 0);
        pass(10 * USEC_PER_SEC);
        assert_non_null(wire('C'));
        welcome('C', 4);
        (void) expect_message('C', "y");
}

/* A real socket() fails when the loop tries it, not when the connection is made. What this host lacks says
 * nothing about the receiver: a message that it may have started does not move. */
static void test_no_descriptors_say_nothing_about_a_receiver(void **state)
{
        list("ab");
        Message *m = send_any("x");
        welcome('a', 1);
        (void) expect_message('a', "x");
        welcome('b', 1);
        list("b"); /* a restarted discovery has lost it */
        fake_connection_fail(EMFILE, true);
        hang_up('a', -ECONNRESET);
        pass(5 * USEC_PER_SEC);
        assert_ptr_equal(m->link.peer, peer_of('a'));
        welcome('a', 1);
        (void) expect_message('a', "x");
}

/* The credit shrinks, or the receiver refuses, while bindings are on their way to the disk. They need not
 * wait there behind a long job. */
static void test_less_room_than_when_it_was_chosen(void **state)
{
        list("ab");
        (void) send_any("long");
        welcome('a', 8);
        MessageFrame f = expect_message('a', "long");
        fake_worker_hang(true);
        for (unsigned i = 0; i < 4; i++)
                assert_int_equal(submit(submission(SELECTOR_ANY, "", i < 2 ? "1" : "2")), 0);
        send_frame('a', &(Frame){.type = FRAME_CREDIT, .credit = 3});
        welcome('b', 8);
        fake_worker_hang(false);
        run();
        (void) expect_message('a', "1");
        (void) expect_message('a', "1");
        (void) expect_message('b', "2");
        (void) expect_message('b', "2");
        fake_worker_hang(true);
        send_frame('a', &(Frame){.type = FRAME_CREDIT, .credit = 9});
        assert_int_equal(submit(submission(SELECTOR_ANY, "", "3")), 0);
        assert_ptr_equal(find(), NULL); /* it is not accepted yet */
        answer('a', &f, OUTCOME_BUSY, "");
        fake_worker_hang(false);
        run();
        (void) expect_message('b', "long");
        (void) expect_message('b', "3");
}

/* What was bound before, and could not be written yet, goes with the one that is refused. */
static void test_a_refused_one_takes_the_unsent_along(void **state)
{
        static char payload[PAYLOAD_DEFAULT_MAX];

        memset(payload, 'x', sizeof payload - 1);
        list("a");
        (void) send_any("first");
        welcome('a', 8);
        MessageFrame f = expect_message('a', "first");
        fake_connection_block(wire('a'), true);
        (void) send_any(payload);
        (void) send_any("1");
        Message *m = send_any("2");
        assert_state(m, DELIVERY_BOUND); /* too much waits in the output */
        list("ab");
        welcome('b', 2);
        answer('a', &f, OUTCOME_BUSY, "");
        (void) expect_message('b', "first");
        (void) expect_message('b', "1");
        assert_state(m, DELIVERY_QUEUED);
}

/* A message that kills its receivers for good comes to its end. */
static void test_receivers_that_are_gone_are_counted(void **state)
{
        Submission s = submission(SELECTOR_ANY, "", "x");

        s.policy.max_attempts = 2;
        list("abc");
        assert_int_equal(submit(s), 0);
        Message *m = find();
        message_pin(m);
        welcome('a', 4);
        welcome('b', 4);
        welcome('c', 1);
        for (const char *name = "ab"; *name; name++) {
                MessageFrame f = expect_message(*name, "x");
                assert_int_equal(f.attempt, *name == 'a' ? 1 : 2);
                hang_up(*name, -ECONNRESET);
                list(*name == 'a' ? "bc" : "c");
                fake_connection_fail(ECONNREFUSED, true);
                pass(5 * USEC_PER_SEC);
        }
        assert_state(m, DELIVERY_DEAD);
        assert_int_equal(m->record.attempts, 2);
        assert_string_equal(m->record.error, "the receiver is gone, and may have run it");
        message_unpin(m);
}

/* A submission that turns out to be one of before had taken the room. */
static void test_room_of_what_was_not_accepted(void **state)
{
        Submission s = submission(SELECTOR_ANY, "", "1");

        list("a");
        s.idempotency_key = "k";
        assert_int_equal(submit(s), 0);
        welcome('a', 1);
        MessageFrame f = expect_message('a', "1");
        answer('a', &f, OUTCOME_ACKED, "");
        send_frame('a', &(Frame){.type = FRAME_CREDIT, .credit = 2});
        (void) send_any("2");
        f = expect_message('a', "2");
        fake_worker_hang(true);
        assert_int_equal(submit(s), 0); /* it is bound at once */
        answer('a', &f, OUTCOME_BUSY, "");
        pass(USEC_PER_SEC); /* the pause */
        fake_worker_hang(false);
        run();
        (void) expect_message('a', "2");
}

/* Of two receivers of plain text one is draining. */
static void test_plain_text_beside_a_draining_receiver(void **state)
{
        Submission s = submission(SELECTOR_ANY, "", "x");

        list_plain("pq");
        for (const char *name = "pq"; *name; name++) {
                peer_of(*name)->info.draining = true;
                s.plain = true;
                assert_int_equal(submit(s), 0);
                assert_null(wire(*name));
                assert_non_null(wire(*name == 'p' ? 'q' : 'p'));
                peer_of(*name)->info.draining = false;
                assert_int_equal(message_cancel(find()), 0);
                run();
        }
}

static Message *send_urgent(const char *payload)
{
        Submission s = submission(SELECTOR_TO, "a", payload);

        s.policy.priority = PRIORITY_MAX;
        assert_int_equal(submit(s), 0);
        return find();
}

static char large[5000 + 1]; /* does not stay in memory while it waits */

/* An urgent message and another one were sent when the connection ended. */
static Message *lose_connection(void)
{
        memset(large, 'x', sizeof large - 1);
        list("a");
        (void) send_to("a", "1");
        Message *m = send_urgent(large);
        welcome('a', 2);
        (void) expect_message('a', "1");
        (void) expect_message('a', large);
        hang_up('a', -ECONNRESET);
        pass(USEC_PER_SEC);
        assert_null(m->payload);
        return m;
}

/* Its place is kept while its payload is read from the disk. */
static void test_an_urgent_one_keeps_its_place(void **state)
{
        (void) lose_connection();
        welcome('a', 1);
        MessageFrame f = expect_message('a', large);
        expect_nothing('a');
        answer('a', &f, OUTCOME_ACKED, "");
        (void) expect_message('a', "1");
}

/* The others get the place when it does not need it any more. */
static void test_the_place_of_one_that_is_cancelled_while_it_is_read(void **state)
{
        Message *m = lose_connection();

        fake_worker_hang(true);
        welcome('a', 1);
        assert_true(m->fetching);
        expect_nothing('a');
        assert_int_equal(message_cancel(m), 0);
        fake_worker_hang(false);
        run();
        (void) expect_message('a', "1");
}

/* Messages that their receiver may have begun are refused. When a more urgent one has come meanwhile, that
 * is the probe, although it must be bound first. */
static void test_the_most_urgent_one_is_the_probe(void **state)
{
        MessageFrame f[2];

        list("a");
        (void) send_to("a", "1");
        (void) send_to("a", "2");
        for (unsigned i = 0; i < 2; i++) {
                welcome('a', 2);
                f[0] = expect_message('a', "1");
                f[1] = expect_message('a', "2");
                if (i == 0)
                        hang_up('a', -ECONNRESET);
                pass(i == 0 ? USEC_PER_SEC : 0);
        }
        send_frame('a', &(Frame){.type = FRAME_CREDIT, .credit = 8});
        answer('a', &f[0], OUTCOME_BUSY, "");
        answer('a', &f[1], OUTCOME_BUSY, "");
        (void) send_urgent("urgent");
        fake_worker_hang(true);
        pass(USEC_PER_SEC); /* the pause */
        expect_nothing('a');
        fake_worker_hang(false);
        run();
        f[0] = expect_message('a', "urgent");
        expect_nothing('a');
        answer('a', &f[0], OUTCOME_WORKING, "");
        (void) expect_message('a', "1");
        (void) expect_message('a', "2");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, client_setup, client_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                        TEST(test_bound_while_draining_begins),
                        TEST(test_taken_from_the_queue_while_draining_begins),
                        TEST(test_room_in_the_window_of_given_up_bindings),
                        TEST(test_any_makes_room_for_a_connection),
                        TEST(test_no_descriptors_say_nothing_about_a_receiver),
                        TEST(test_less_room_than_when_it_was_chosen),
                        TEST(test_a_refused_one_takes_the_unsent_along),
                        TEST(test_receivers_that_are_gone_are_counted),
                        TEST(test_room_of_what_was_not_accepted),
                        TEST(test_plain_text_beside_a_draining_receiver),
                        TEST(test_an_urgent_one_keeps_its_place),
                        TEST(test_the_place_of_one_that_is_cancelled_while_it_is_read),
                        TEST(test_the_most_urgent_one_is_the_probe),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
