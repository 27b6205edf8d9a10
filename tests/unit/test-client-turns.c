/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Queues that want the same receiver take turns: which of them goes next. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client-fixture.h"

static void queue_any(const char *payload)
{
        assert_int_equal(submit(submission(SELECTOR_ANY, "", payload)), 0);
}

static void queue_key(const char *key, const char *payload)
{
        Submission s = submission(SELECTOR_KEY, "", payload);

        s.key = key;
        assert_int_equal(submit(s), 0);
}

/* a takes the message that comes, which must be this one, and ends it. */
static void takes(const char *payload)
{
        MessageFrame f = expect_message('a', payload);

        answer('a', &f, OUTCOME_ACKED, "");
}

/* a had no place; it offers one later. */
static void refuses(const char *payload)
{
        MessageFrame f = expect_message('a', payload);

        answer('a', &f, OUTCOME_BUSY, "");
        expect_nothing('a');
        send_frame('a', &(Frame){.type = FRAME_CREDIT, .credit = 1});
        pass(USEC_PER_SEC);
}

static void begin(void)
{
        list("a");
        queue_any("first");
        welcome('a', 1);
}

/* Another sender takes the place that an ack seems to give. The queue whose message was refused has had
 * nothing, so the place that is offered next is for it. */
static void test_a_refused_one_keeps_its_turn(void **state)
{
        begin();
        queue_any("any 1");
        queue_any("any 2");
        assert_int_equal(submit(submission(SELECTOR_TO, "a", "to")), 0);
        takes("first");
        refuses("to");
        takes("to");
        takes("any 1");
        takes("any 2");
}

static void test_a_refused_key_keeps_its_turn(void **state)
{
        begin();
        queue_key("k", "k 1");
        queue_key("l", "l");
        queue_key("k", "k 2");
        queue_any("any 1");
        takes("first");
        refuses("k 1");
        takes("k 1");
        takes("any 1");
        refuses("l");
        takes("l");
        takes("k 2");
}

/* Of several that are refused together, the first one is next. */
static void test_several_are_refused(void **state)
{
        begin();
        queue_any("any 1");
        assert_int_equal(submit(submission(SELECTOR_TO, "a", "to 1")), 0);
        assert_int_equal(submit(submission(SELECTOR_TO, "a", "to 2")), 0);
        send_frame('a', &(Frame){.type = FRAME_CREDIT, .credit = 3});
        takes("first");
        MessageFrame to_1 = expect_message('a', "to 1"), any_1 = expect_message('a', "any 1"),
                     to_2 = expect_message('a', "to 2");
        answer('a', &to_1, OUTCOME_BUSY, "");
        answer('a', &any_1, OUTCOME_BUSY, "");
        answer('a', &to_2, OUTCOME_BUSY, "");
        expect_nothing('a');
        send_frame('a', &(Frame){.type = FRAME_CREDIT, .credit = 1});
        takes("to 1");
        takes("any 1");
        takes("to 2");
}

/* There may be no place for this one alone, such as no memory for a large payload. */
static void test_one_that_is_always_refused(void **state)
{
        begin();
        queue_any("any 1");
        queue_any("any 2");
        assert_int_equal(submit(submission(SELECTOR_TO, "a", "to")), 0);
        takes("first");
        refuses("to");
        refuses("to");
        takes("any 1");
        refuses("to");
        refuses("to");
        takes("any 2");
}

/* A key that comes has had no turn; but all keys are one in the turns of a receiver. */
static void test_new_keys_share_one_turn(void **state)
{
        begin();
        queue_any("any 1");
        queue_any("any 2");
        queue_key("k", "k");
        queue_key("l", "l");
        queue_key("m", "m");
        takes("first");
        takes("k");
        takes("any 1");
        takes("l");
        takes("any 2");
        takes("m");
}

static void queue_urgent(uint32_t priority, const char *payload)
{
        Submission s = submission(SELECTOR_ANY, "", payload);

        s.policy.priority = priority;
        assert_int_equal(submit(s), 0);
}

/* Messages that a may have begun stay bound to it, and are asked about again. A more urgent one that waits
 * takes a place before the less urgent of them, though not before the most urgent. */
static void test_each_step_down(void **state)
{
        static const char *const bound[] = {"bound 9", "bound 4", "bound 3", "bound 2"};

        begin();
        takes("first");
        queue_urgent(9, bound[0]);
        queue_urgent(4, bound[1]);
        queue_urgent(3, bound[2]);
        queue_urgent(2, bound[3]);
        send_frame('a', &(Frame){.type = FRAME_CREDIT, .credit = 4});
        for (size_t i = 0; i < ELEMENTSOF(bound); i++)
                (void) expect_message('a', bound[i]);
        hang_up('a', 0);
        queue_urgent(7, "urgent 7");
        queue_urgent(3, "urgent 3");
        pass(6 * USEC_PER_SEC);
        welcome('a', 3);
        MessageFrame first = expect_message('a', bound[0]), second = expect_message('a', bound[1]);
        takes("urgent 7"); /* its binding went to the disk meanwhile; its place was kept */
        answer('a', &first, OUTCOME_ACKED, "");
        answer('a', &second, OUTCOME_ACKED, "");
        takes(bound[2]);
        takes("urgent 3");
        takes(bound[3]);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, client_setup, client_teardown)
        const struct CMUnitTest tests[] = {
                        TEST(test_a_refused_one_keeps_its_turn),
                        TEST(test_a_refused_key_keeps_its_turn),
                        TEST(test_several_are_refused),
                        TEST(test_one_that_is_always_refused),
                        TEST(test_new_keys_share_one_turn),
                        TEST(test_each_step_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
