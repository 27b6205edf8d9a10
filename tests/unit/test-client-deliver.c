/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One message to one receiver, from its submission to its end. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client-fixture.h"

static void test_submission_to_settlement(void **state)
{
        list("a");
        Message *m = send_to("a", "hello");
        assert_state(m, DELIVERY_QUEUED); /* until the receiver is connected and has room */
        assert_events("accepted");
        welcome('a', 4);
        MessageFrame f = expect_message('a', "hello");
        assert_int_equal(f.attempt, 1);
        assert_int_equal(f.sequence, 1);
        assert_int_equal(f.flags, 0);
        assert_state(m, DELIVERY_SENT);
        assert_int_equal(stored_state(last.id), DELIVERY_BOUND);
        answer('a', &f, OUTCOME_ACKED, "fine");
        assert_state(m, DELIVERY_ACKED);
        assert_events("bound sent acked");
        assert_int_equal(m->record.reply_size, 4);
        assert_int_equal(stored_state(last.id), DELIVERY_ACKED);
        assert_int_equal(c->messages.n_open, 0);
        assert_int_equal(c->messages.n_settled, 1);

        /* Within a second the receiver hears that the sequence is settled. */
        Frame s;
        assert_false(next_settled('a', &s));
        pass(USEC_PER_SEC);
        assert_true(next_settled('a', &s));
        assert_int_equal(s.settled.low, 2);
}

static void test_retry_by_the_timer(void **state)
{
        list("a");
        Message *m = send_to("a", "x");
        welcome('a', 4);
        MessageFrame f = expect_message('a', "x");
        answer('a', &f, OUTCOME_FAILED, "disk full");
        assert_state(m, DELIVERY_BACKOFF);
        assert_string_equal(m->record.error, "disk full");
        expect_nothing('a');
        pass(config.policy.backoff_usec);
        f = expect_message('a', "x");
        assert_int_equal(f.attempt, 2);
        assert_int_equal(f.flags, MESSAGE_POSSIBLE_DUPLICATE);

        /* Nothing comes: sent again at once, for that time has been waited for. */
        pass(config.policy.ack_timeout_usec);
        assert_string_equal(m->record.error, "no ack within 5s");
        f = expect_message('a', "x");
        assert_int_equal(f.attempt, 3);
        assert_events("accepted bound sent failed sent no-ack sent");

        /* An answer to an earlier attempt counts for nothing, unless it is an end. */
        f.attempt = 2;
        answer('a', &f, OUTCOME_FAILED, "late");
        assert_state(m, DELIVERY_SENT);
        answer('a', &f, OUTCOME_SETTLED, "");
        assert_state(m, DELIVERY_ACKED);
        assert_int_equal(c->messages.n_attempts, 3);
}

static void test_working_and_busy(void **state)
{
        list("a");
        Message *m = send_to("a", "x");
        welcome('a', 4);
        MessageFrame f = expect_message('a', "x");
        for (unsigned i = 0; i < 3; i++) {
                pass(config.policy.ack_timeout_usec - 1);
                answer('a', &f, OUTCOME_WORKING, "40 copying");
        }
        assert_state(m, DELIVERY_SENT);
        assert_string_equal(m->progress, "40 copying");
        answer('a', &f, OUTCOME_BUSY, "");
        assert_state(m, DELIVERY_QUEUED); /* it waits with the others again */
        expect_nothing('a');
        pass(USEC_PER_SEC);
        f = expect_message('a', "x");
        assert_int_equal(f.attempt, 1); /* busy is no attempt */
        assert_int_equal(f.flags, 0);   /* and nothing was started */
        answer('a', &f, OUTCOME_REJECTED, "no such thing");
        assert_state(m, DELIVERY_REJECTED);
        assert_int_equal(c->messages.n_dead, 1);
        assert_string_equal(m->record.error, "no such thing");
}

static void test_attempts_are_counted_out(void **state)
{
        Submission s = submission(SELECTOR_TO, "a", "x");

        list("a");
        s.policy.max_attempts = 2;
        s.policy.backoff_usec = 0;
        assert_int_equal(submit(s), 0);
        welcome('a', 4);
        MessageFrame f = expect_message('a', "x");
        answer('a', &f, OUTCOME_FAILED, "one");
        f = expect_message('a', "x");
        answer('a', &f, OUTCOME_FAILED, "two");
        assert_state(find(), DELIVERY_DEAD);
        assert_int_equal(stored_state(last.id), DELIVERY_DEAD);

        /* Tried again, it gets all of them once more. */
        assert_int_equal(message_revive(find()), 0);
        f = expect_message('a', "x");
        assert_int_equal(f.attempt, 1);
        assert_int_equal(f.flags, MESSAGE_POSSIBLE_DUPLICATE);
        answer('a', &f, OUTCOME_CONFLICT, "");
        assert_state(find(), DELIVERY_DEAD);
}

static void test_without_an_ack_it_asks(void **state)
{
        Submission s = submission(SELECTOR_TO, "a", "x");
        Frame f;

        list("a");
        s.policy.max_attempts = 1;
        assert_int_equal(submit(s), 0);
        welcome('a', 4);
        MessageFrame m = expect_message('a', "x");
        pass(config.policy.ack_timeout_usec);
        assert_state(find(), DELIVERY_GIVING_UP);
        assert_true(next_frame('a', &f));
        assert_int_equal(f.type, FRAME_CANCEL);
        pass(config.policy.ack_timeout_usec); /* asked again */
        assert_true(next_frame('a', &f));
        assert_int_equal(f.type, FRAME_CANCEL);
        answer('a', &m, OUTCOME_ACKED, "");
        assert_state(find(), DELIVERY_ACKED);
}

static void test_cancel(void **state)
{
        Frame f;

        list("a");
        Message *m = send_to("a", "never sent");
        assert_int_equal(message_cancel(m), 0);
        run();
        assert_state(m, DELIVERY_CANCELLED);
        assert_int_equal(message_cancel(m), -EALREADY);

        m = send_to("a", "sent");
        welcome('a', 4);
        MessageFrame sent = expect_message('a', "sent");
        assert_int_equal(message_cancel(m), 0);
        assert_true(next_frame('a', &f));
        assert_int_equal(f.type, FRAME_CANCEL);
        assert_state(m, DELIVERY_CANCELLING);
        assert_int_equal(stored_state(last.id), DELIVERY_CANCELLING);
        answer('a', &sent, OUTCOME_CANCELLED, "");
        assert_state(m, DELIVERY_CANCELLED);
        assert_int_equal(m->record.attempts, 1); /* it was under way */
}

/* The attempt was over, and counted, when it was cancelled. */
static void test_cancel_between_attempts(void **state)
{
        list("a");
        Message *m = send_to("a", "x");
        welcome('a', 4);
        MessageFrame sent = expect_message('a', "x");
        answer('a', &sent, OUTCOME_FAILED, "no");
        assert_int_equal(m->record.attempts, 1);
        assert_int_equal(message_cancel(m), 0);
        run();
        answer('a', &sent, OUTCOME_CANCELLED, "");
        assert_state(m, DELIVERY_CANCELLED);
        assert_int_equal(m->record.attempts, 1);
}

/* After a crash the client must know why the receiver says "cancelled". */
static void test_cancel_is_on_disk_before_it_is_sent(void **state)
{
        Frame f;

        list("a");
        Message *m = send_to("a", "sent");
        welcome('a', 4);
        MessageFrame sent = expect_message('a', "sent");
        fake_worker_hang(true);
        assert_int_equal(message_cancel(m), 0);
        run();
        assert_state(m, DELIVERY_CANCELLING);
        expect_nothing('a');
        pass(5 * USEC_PER_SEC); /* the time to ask again */
        expect_nothing('a');
        fake_worker_hang(false);
        run();
        assert_true(next_frame('a', &f));
        assert_int_equal(f.type, FRAME_CANCEL);
        expect_nothing('a');
        answer('a', &sent, OUTCOME_CANCELLED, "");
        assert_state(m, DELIVERY_CANCELLED);
}

/* The receiver still has it, so it takes credit. */
static void test_cancel_takes_credit(void **state)
{
        Frame f;

        list("a");
        (void) send_to("a", "sent");
        welcome('a', 1);
        MessageFrame sent = expect_message('a', "sent");
        assert_int_equal(message_cancel(find()), 0);
        (void) send_to("a", "next");
        assert_true(next_frame('a', &f));
        assert_int_equal(f.type, FRAME_CANCEL);
        expect_nothing('a');
        answer('a', &sent, OUTCOME_CANCELLED, "");
        (void) expect_message('a', "next");
}

static void test_cancel_reaches_the_next_connection(void **state)
{
        Frame f;

        list("a");
        Message *m = send_to("a", "sent");
        welcome('a', 4);
        MessageFrame sent = expect_message('a', "sent");
        hang_up('a', -ECONNRESET);
        assert_state(m, DELIVERY_BOUND);
        assert_int_equal(message_cancel(m), 0);
        run();
        assert_state(m, DELIVERY_CANCELLING);
        pass(5 * USEC_PER_SEC);
        welcome('a', 4);
        assert_true(next_frame('a', &f));
        assert_int_equal(f.type, FRAME_CANCEL);
        expect_nothing('a'); /* it is not sent again */
        answer('a', &sent, OUTCOME_BUSY, "");
        assert_state(m, DELIVERY_CANCELLING);
        pass(5 * USEC_PER_SEC);
        answer('a', &sent, OUTCOME_FAILED, "");
        assert_state(m, DELIVERY_CANCELLED);
}

static void test_too_large(void **state)
{
        static char payload[PAYLOAD_DEFAULT_MAX + 1];

        config.max_payload = PAYLOAD_MAX;
        client_end();
        client_begin();
        list("a");
        memset(payload, 'x', sizeof payload - 1);
        payload[sizeof payload - 1] = '\0';
        (void) send_to("a", payload);
        welcome('a', 4); /* it takes PAYLOAD_DEFAULT_MAX */
        (void) expect_message('a', payload);
        Submission s = submission(SELECTOR_TO, "a", payload);
        s.size = PAYLOAD_DEFAULT_MAX + 1;
        assert_int_equal(submit(s), 0);
        assert_state(find(), DELIVERY_REJECTED);
        assert_string_equal(find()->record.error, "the receiver takes at most 1048576 bytes");
}

static void test_a_large_payload_is_read_again(void **state)
{
        char payload[5000];

        memset(payload, 'y', sizeof payload - 1);
        payload[sizeof payload - 1] = '\0';
        list("a");
        Message *m = send_to("a", payload);
        assert_null(m->payload); /* it cannot be sent now */
        welcome('a', 4);
        MessageFrame f = expect_message('a', payload);
        assert_non_null(m->payload);
        answer('a', &f, OUTCOME_FAILED, "");
        assert_null(m->payload);
        pass(config.policy.backoff_usec);
        (void) expect_message('a', payload);
}

static void test_the_machine_was_suspended(void **state)
{
        list("a");
        Message *m = send_to("a", "x");
        welcome('a', 4);
        MessageFrame f = expect_message('a', "x");
        fake_clock_jump(60 * USEC_PER_SEC);
        run();
        assert_state(m, DELIVERY_SENT); /* an answer may wait to be read */
        answer('a', &f, OUTCOME_ACKED, "");
        assert_state(m, DELIVERY_ACKED);
        pass(USEC_PER_SEC);
}

static void test_retry_of_what_cannot_be(void **state)
{
        list("a");
        Message *m = send_to("a", "x");
        assert_int_equal(message_revive(m), -EALREADY);
        welcome('a', 4);
        MessageFrame f = expect_message('a', "x");
        send_frame('a', &(Frame){.type = FRAME_PONG});
        fake_worker_hang(true);
        answer('a', &f, OUTCOME_REJECTED, "no");
        assert_int_equal(message_revive(m), -EBUSY); /* its end is being written */
        fake_worker_hang(false);
        run();
        m->purging = true;
        assert_int_equal(message_revive(m), -ENOENT);
        m->purging = false;
        assert_int_equal(message_revive(m), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, client_setup, client_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                        TEST(test_submission_to_settlement),
                        TEST(test_retry_by_the_timer),
                        TEST(test_working_and_busy),
                        TEST(test_attempts_are_counted_out),
                        TEST(test_without_an_ack_it_asks),
                        TEST(test_cancel),
                        TEST(test_cancel_between_attempts),
                        TEST(test_cancel_is_on_disk_before_it_is_sent),
                        TEST(test_cancel_takes_credit),
                        TEST(test_cancel_reaches_the_next_connection),
                        TEST(test_too_large),
                        TEST(test_a_large_payload_is_read_again),
                        TEST(test_the_machine_was_suspended),
                        TEST(test_retry_of_what_cannot_be),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
