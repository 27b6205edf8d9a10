/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Messages to several receivers. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client-fixture.h"

static Message *send_all(const char *payload)
{
        assert_int_equal(submit(submission(SELECTOR_ALL, "", payload)), 0);
        assert_int_equal(last.result, 0);
        assert_non_null(find());
        return find();
}

static Message *send_quorum(const char *payload, unsigned quorum)
{
        Submission s = submission(SELECTOR_QUORUM, "", payload);

        s.quorum = quorum;
        assert_int_equal(submit(s), 0);
        assert_int_equal(last.result, 0);
        return find();
}

static void ack(char name, const char *payload)
{
        MessageFrame f = expect_message(name, payload);

        answer(name, &f, OUTCOME_ACKED, "");
}

static void refuse(char name, const char *payload)
{
        MessageFrame f = expect_message(name, payload);

        answer(name, &f, OUTCOME_REJECTED, "no");
}

static void welcome_all(const char *names)
{
        for (; *names; names++)
                welcome(*names, 9);
}

static void test_all(void **state)
{
        list("abc");
        Message *m = send_all("x");
        assert_state(m, DELIVERY_GATHERING);
        assert_string_equal(m->record.receiver_name, "0 of 3");
        welcome_all("abc");
        ack('a', "x");
        ack('b', "x");
        assert_string_equal(m->record.receiver_name, "2 of 3");
        assert_state(m, DELIVERY_GATHERING);
        ack('c', "x");
        assert_state(m, DELIVERY_ACKED);
        assert_string_equal(m->record.receiver_name, "3 of 3");
        assert_int_equal(stored_state(last.id), DELIVERY_ACKED);
        assert_int_equal(c->messages.n_open, 0);
        assert_int_equal(m->record.attempts, 3);
        assert_events("accepted bound sent bound sent bound sent member-acked member-acked member-acked "
                      "acked");
}

static void test_quorum(void **state)
{
        list("abc");
        Message *m = send_quorum("x", 2);
        welcome_all("ab");
        ack('a', "x");
        assert_state(m, DELIVERY_GATHERING);
        ack('b', "x");
        assert_state(m, DELIVERY_ACKED);
        /* The member that was never sent is not needed any more. */
        run();
        assert_null(message_find_member(c, last.id, 3));
        welcome_all("c");
        expect_nothing('c');
}

static void test_quorum_that_cannot_be_reached(void **state)
{
        list("abc");
        Message *m = send_quorum("x", 2);
        welcome_all("abc");
        refuse('a', "x");
        assert_state(m, DELIVERY_GATHERING);
        refuse('b', "x");
        assert_state(m, DELIVERY_DEAD);
        assert_string_equal(m->record.error, "2 of 3 receivers did not ack");

        /* Tried again: only those that did not ack. */
        ack('c', "x");
        assert_int_equal(message_revive(m), 0);
        assert_int_equal(message_revive(m), -EBUSY);
        run();
        assert_state(m, DELIVERY_GATHERING);
        assert_string_equal(m->record.receiver_name, "1 of 3");
        expect_nothing('c');
        ack('a', "x");
        assert_state(m, DELIVERY_ACKED);
}

/* A member that was dropped with the whole comes back with it. */
static void test_a_dead_quorum_is_retried(void **state)
{
        list("ab");
        Message *m = send_quorum("x", 2);
        welcome_all("a");
        refuse('a', "x");
        assert_state(m, DELIVERY_DEAD);
        run();
        assert_null(message_find_member(c, last.id, 2));

        assert_int_equal(message_revive(m), 0);
        run();
        assert_state(m, DELIVERY_GATHERING);
        ack('a', "x");
        welcome_all("b");
        ack('b', "x");
        assert_state(m, DELIVERY_ACKED);
}

static void test_too_few(void **state)
{
        Submission s = submission(SELECTOR_QUORUM, "", "x");

        s.quorum = 2;
        assert_int_equal(submit(s), -ENOENT);
        assert_string_equal(submit_error.text,
                        "Discovery does not answer, so the receivers of the group are not known");
        list("");
        assert_int_equal(submit(s), -ENOENT);
        assert_string_equal(submit_error.text, "No receiver matches");
        list("a");
        assert_int_equal(submit(s), -ENOENT);
        assert_string_equal(submit_error.text, "Only 1 receivers match, but 2 must ack");
        assert_int_equal(c->messages.n_open, 0);
        s.quorum = 0;
        assert_int_equal(submit(s), -EINVAL);
}

static void test_cancelled(void **state)
{
        Frame f;

        list("ab");
        Message *m = send_all("x");
        welcome_all("a");
        MessageFrame sent = expect_message('a', "x");
        assert_int_equal(message_cancel(m), 0);
        run();
        assert_state(m, DELIVERY_CANCELLING);
        assert_true(next_frame('a', &f));
        assert_int_equal(f.type, FRAME_CANCEL);
        assert_int_equal(m->fanout->n_failed, 1); /* b was never sent */
        answer('a', &sent, OUTCOME_CANCELLED, "");
        assert_state(m, DELIVERY_CANCELLED);
        assert_int_equal(message_cancel(m), -EALREADY);
}

static void test_given_up(void **state)
{
        list("ab");
        Message *m = send_all("x");
        welcome_all("a");
        ack('a', "x");
        message_give_up(m, "enough");
        run();
        assert_state(m, DELIVERY_DEAD);
        assert_string_equal(m->record.error, "enough");
        message_give_up(m, "again");
        assert_string_equal(m->record.error, "enough");
}

static void test_cancelled_while_it_is_given_up(void **state)
{
        Frame f;

        list("ab");
        Message *m = send_all("x");
        welcome_all("a");
        MessageFrame sent = expect_message('a', "x");
        message_give_up(m, "enough");
        run();
        assert_state(m, DELIVERY_GIVING_UP);
        assert_true(next_frame('a', &f));
        assert_int_equal(f.type, FRAME_CANCEL);
        assert_int_equal(message_cancel(m), 0);
        run();
        assert_state(m, DELIVERY_CANCELLING);
        pass(10 * USEC_PER_SEC);
        answer('a', &sent, OUTCOME_CANCELLED, "");
        assert_state(m, DELIVERY_CANCELLED);
}

static void test_members_that_cannot_be_read(void **state)
{
        list("ab");
        Message *m = send_all("x");
        fake_disk_fail(1, EIO, true);
        assert_int_equal(message_cancel(m), 0);
        run();
        fake_disk_fail(0, 0, false);
        pass(USEC_PER_SEC);
        assert_state(m, DELIVERY_CANCELLED);
}

static void test_the_power_goes(void **state)
{
        list("ab");
        (void) send_all("x");
        welcome_all("a");
        ack('a', "x");
        sd_id128_t id = last.id;
        client_crash();
        Message *m = message_find(c, id);
        assert_state(m, DELIVERY_GATHERING);
        assert_int_equal(m->fanout->n_acked, 1);
        assert_int_equal(m->fanout->n_members, 2);
        welcome_all("b");
        ack('b', "x");
        assert_state(m, DELIVERY_ACKED);
}

static void test_the_power_goes_while_it_is_cancelled(void **state)
{
        list("ab");
        Message *m = send_all("x");
        welcome_all("a");
        MessageFrame f = expect_message('a', "x");
        sd_id128_t id = last.id;
        assert_int_equal(message_cancel(m), 0);
        run();
        client_crash();
        m = message_find(c, id);
        assert_state(m, DELIVERY_CANCELLING);
        welcome_all("a");
        answer('a', &f, OUTCOME_CANCELLED, "");
        assert_state(m, DELIVERY_CANCELLED);
}

static void test_who_joins(void **state)
{
        Submission s = submission(SELECTOR_ALL, "", "x");

        list("a");
        s.follow = true;
        assert_int_equal(submit(s), 0);
        Message *m = find();
        list("ab");
        assert_int_equal(m->fanout->n_members, 2);
        list("b");
        list("ab"); /* it is a member already */
        assert_int_equal(m->fanout->n_members, 2);
        welcome_all("ab");
        ack('a', "x");
        ack('b', "x");
        assert_state(m, DELIVERY_ACKED);
        list("abc");
        assert_null(c->fanouts.following);
}

/* The message does not end while a receiver is being added to it. */
static void test_who_joins_at_the_end(void **state)
{
        Submission s = submission(SELECTOR_ALL, "", "x");

        list("a");
        s.follow = true;
        assert_int_equal(submit(s), 0);
        Message *m = find();
        welcome_all("a");
        MessageFrame f = expect_message('a', "x");
        fake_worker_hang(true);
        answer('a', &f, OUTCOME_ACKED, "");
        list("ab");
        fake_worker_hang(false);
        run();
        assert_state(m, DELIVERY_GATHERING);
        assert_int_equal(m->fanout->n_members, 2);
        welcome_all("b");
        ack('b', "x");
        assert_state(m, DELIVERY_ACKED);
}

static void test_delayed(void **state)
{
        Submission s = submission(SELECTOR_ALL, "", "x");

        list("ab");
        s.delay_usec = 60 * USEC_PER_SEC;
        assert_int_equal(submit(s), 0);
        sd_id128_t id = last.id;
        assert_state(find(), DELIVERY_DELAYED);
        assert_null(wire('a'));
        pass(66 * USEC_PER_SEC);
        Message *m = message_find(c, id);
        assert_state(m, DELIVERY_GATHERING);
        welcome_all("ab");
        ack('a', "x");
        ack('b', "x");
        assert_state(m, DELIVERY_ACKED);

        assert_int_equal(submit(s), 0);
        m = find();
        assert_int_equal(message_cancel(m), 0);
        run();
        assert_state(m, DELIVERY_CANCELLED);
        pass(66 * USEC_PER_SEC);
        expect_nothing('a');
}

static void test_a_large_payload(void **state)
{
        static char payload[6000];

        memset(payload, 'z', sizeof payload - 1);
        list("ab");
        Message *m = send_all(payload);
        welcome_all("ab");
        ack('a', payload);
        ack('b', payload);
        assert_state(m, DELIVERY_ACKED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, client_setup, client_teardown)

/* The quorum is there, but the disk has not yet told which members are left. */
static void test_a_member_that_is_not_needed_any_more(void **state)
{
        Submission s = submission(SELECTOR_QUORUM, "", "x");

        list("ab");
        s.quorum = 1;
        assert_int_equal(submit(s), 0);
        Message *m = find();
        m->record.state = DELIVERY_ACKED;
        welcome('b', 1);
        expect_nothing('b');
        assert_int_equal(m->fanout->n_failed, 1);
        m->record.state = DELIVERY_GATHERING;
        welcome('a', 1);
        ack('a', "x");
        assert_state(m, DELIVERY_ACKED);
}

/* The disk has lost records, so it does not know whether the message was sent to the one that joins. */
static void test_one_that_joins_after_a_loss(void **state)
{
        Submission s = submission(SELECTOR_ALL, "", "x");

        list("a");
        s.follow = true;
        assert_int_equal(submit(s), 0);
        find()->record.duplicate = true; /* as the salvage marks all that is open */
        list("ab");
        welcome('b', 1);
        assert_true(expect_message('b', "x").flags & MESSAGE_POSSIBLE_DUPLICATE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        TEST(test_all),
                        TEST(test_quorum),
                        TEST(test_quorum_that_cannot_be_reached),
                        TEST(test_a_dead_quorum_is_retried),
                        TEST(test_too_few),
                        TEST(test_cancelled),
                        TEST(test_given_up),
                        TEST(test_cancelled_while_it_is_given_up),
                        TEST(test_members_that_cannot_be_read),
                        TEST(test_the_power_goes),
                        TEST(test_the_power_goes_while_it_is_cancelled),
                        TEST(test_who_joins),
                        TEST(test_one_that_joins_after_a_loss),
                        TEST(test_a_member_that_is_not_needed_any_more),
                        TEST(test_who_joins_at_the_end),
                        TEST(test_delayed),
                        TEST(test_a_large_payload),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
