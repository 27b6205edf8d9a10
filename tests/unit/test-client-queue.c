/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Messages without a receiver: queues, their pages on disk, keys, and who gets what. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "client-fixture.h"

static void test_order_and_priority(void **state)
{
        static const char *const payloads[] = {"1", "2", "3", "4"};
        Submission s = submission(SELECTOR_ANY, "", "");

        list("");
        for (unsigned i = 0; i < 4; i++) {
                s.payload = payloads[i], s.size = 1;
                s.policy.priority = i == 3 ? PRIORITY_MAX : PRIORITY_DEFAULT;
                assert_int_equal(submit(s), 0);
        }
        assert_int_equal(c->queues.n_unassigned, 4);
        list("a");
        welcome('a', 9);
        (void) expect_message('a', "4");
        (void) expect_message('a', "1");
        (void) expect_message('a', "2");
        (void) expect_message('a', "3");
        assert_int_equal(c->queues.n_unassigned, 0);
}

static void test_a_long_queue_is_on_disk(void **state)
{
        const unsigned n = 3000;
        Submission s = submission(SELECTOR_ANY, "g", "");
        char text[16];

        list("");
        for (unsigned i = 0; i < n; i++) {
                (void) snprintf(text, sizeof text, "%u", i);
                s.payload = text, s.size = strlen(text);
                if (i == 100)
                        s.policy.priority = 0;
                assert_int_equal(submit(s), 0);
                s.policy.priority = PRIORITY_DEFAULT;
        }
        Queue *q = c->queues.any;
        assert_int_equal(q->n_queued + q->n_stored, n);
        assert_true(q->n_queued <= 1024);
        client_crash();
        q = c->queues.any;
        assert_int_equal(q->n_queued + q->n_stored, n);
        list("a");
        welcome('a', 100);
        for (unsigned i = 0; i < n; i++) {
                unsigned expected = i == n - 1 ? 100 : i < 100 ? i : i + 1;
                (void) snprintf(text, sizeof text, "%u", expected);
                MessageFrame f = expect_message('a', text);
                answer('a', &f, OUTCOME_ACKED, "");
        }
        assert_int_equal(c->messages.n_open, 0);
}

static void test_a_page_that_cannot_be_read(void **state)
{
        const unsigned n = 300;
        Submission s = submission(SELECTOR_ANY, "", "x");

        list("");
        for (unsigned i = 0; i < n; i++)
                assert_int_equal(submit(s), 0);
        client_crash();
        Queue *q = c->queues.any;
        assert_int_equal(q->n_queued, 256); /* a page is read at the start */
        list("a");
        fake_disk_fail(1, EIO, true);
        welcome('a', 200);
        assert_true(retry_is_waiting(&q->retry));
        fake_disk_fail(0, 0, false);
        pass(USEC_PER_SEC);
        assert_false(retry_is_waiting(&q->retry));
        for (unsigned i = 0; i < n; i++) {
                MessageFrame f = expect_message('a', "x");
                answer('a', &f, OUTCOME_ACKED, "");
        }
        assert_int_equal(c->messages.n_open, 0);
}

static void test_taken_back_to_its_old_place(void **state)
{
        list("a");
        Message *m = send_any("1");
        welcome('a', 1);
        MessageFrame f = expect_message('a', "1");
        Message *second = send_any("2");
        assert_state(second, DELIVERY_QUEUED);
        list("ab");
        answer('a', &f, OUTCOME_BUSY, ""); /* nobody else is connected, so it waits for a */
        assert_state(m, DELIVERY_QUEUED);
        expect_nothing('a');
        pass(USEC_PER_SEC);
        expect_message('a', "1");
        assert_state(second, DELIVERY_QUEUED);
}

static void test_equals_take_turns(void **state)
{
        list("ab");
        (void) send_any("0");
        welcome('a', 8);
        welcome('b', 8);
        (void) expect_message('a', "0");
        (void) send_any("1");
        (void) expect_message('b', "1"); /* it has more free credit */
        (void) send_any("2");
        (void) expect_message('a', "2"); /* equals: its turn was longer ago */
        (void) send_any("3");
        (void) expect_message('b', "3");
}

static Submission of_key(const char *key, const char *payload)
{
        Submission s = submission(SELECTOR_KEY, "", payload);

        s.key = key;
        return s;
}

static void test_keys(void **state)
{
        list("ab");
        assert_int_equal(submit(of_key("k", "1")), 0);
        Message *first = find();
        assert_state(first, DELIVERY_QUEUED); /* until its receiver is connected */
        char owner = (char) first->queue->owner->info.id.bytes[0];
        assert_int_equal(submit(of_key("k", "2")), 0);
        Message *second = find();
        assert_state(second, DELIVERY_QUEUED); /* one after the other */
        welcome(owner, 4);
        MessageFrame f = expect_message(owner, "1");
        expect_nothing(owner);
        answer(owner, &f, OUTCOME_ACKED, "");
        f = expect_message(owner, "2");
        answer(owner, &f, OUTCOME_ACKED, "");
        assert_null(first->queue);
        assert_int_equal(c->messages.n_open, 0);
}

/* The message before the last ends while the last one is on its way to the disk. */
static void test_a_key_while_its_message_is_written(void **state)
{
        list("a");
        assert_int_equal(submit(of_key("k", "1")), 0);
        welcome('a', 4);
        MessageFrame f = expect_message('a', "1");
        fake_worker_hang(true);
        assert_int_equal(submit(of_key("k", "2")), 0);
        answer('a', &f, OUTCOME_ACKED, "");
        assert_int_equal(submit(of_key("k", "3")), 0);
        fake_worker_hang(false);
        run();
        f = expect_message('a', "2");
        expect_nothing('a');
        answer('a', &f, OUTCOME_ACKED, "");
        f = expect_message('a', "3");
        answer('a', &f, OUTCOME_ACKED, "");
}

static void test_keys_without_anybody(void **state)
{
        list("");
        assert_int_equal(submit(of_key("k", "1")), 0);
        assert_int_equal(submit(of_key("l", "2")), 0);
        assert_non_null(c->queues.stuck);
        Message *m = find();
        list("a");
        welcome('a', 4);
        assert_state(m, DELIVERY_SENT);
        assert_null(c->queues.stuck);
        MessageFrame f = expect_message('a', "1");
        answer('a', &f, OUTCOME_ACKED, "");
        client_crash(); /* a queue by its key is found again */
        assert_int_equal(c->messages.n_open, 1);
        assert_ptr_equal(message_find(c, last.id)->queue->owner, peer_of('a'));
}

static void test_many_keys_and_a_small_window(void **state)
{
        char key[16];

        list("");
        for (unsigned i = 0; i < STREAM_WINDOW + 20; i++) {
                (void) snprintf(key, sizeof key, "%u", i);
                assert_int_equal(submit(of_key(key, "x")), 0);
        }
        list("a");
        assert_null(c->queues.stuck);
        assert_non_null(peer_of('a')->keys);
        welcome('a', 2000);
        for (unsigned i = 0; i < STREAM_WINDOW + 20; i++) {
                MessageFrame f = expect_message('a', "x");
                answer('a', &f, OUTCOME_ACKED, "");
        }
        assert_int_equal(c->messages.n_open, 0);
        assert_null(peer_of('a')->keys);
}

static void test_a_key_moves_when_its_receiver_drains(void **state)
{
        list("a");
        assert_int_equal(submit(of_key("k", "1")), 0);
        Message *m = find();
        list_draining("ab", "a");
        assert_ptr_equal(m->queue->owner, peer_of('b'));
        welcome('b', 4);
        (void) expect_message('b', "1");
}

static void test_unused_queues_are_freed(void **state)
{
        char key[16];

        list("");
        for (unsigned i = 0; i < 100; i++) {
                (void) snprintf(key, sizeof key, "%u", i);
                assert_int_equal(submit(of_key(key, "x")), 0);
                assert_int_equal(message_cancel(find()), 0);
                run();
        }
        assert_true(HASH_COUNT(c->queues.by_text) <= 65);
}

static void test_who_is_meant(void **state)
{
        Submission s = submission(SELECTOR_ANY, "other", "x");
        Peer *p;

        list("ab");
        assert_int_equal(submit(s), 0);
        assert_state(find(), DELIVERY_QUEUED); /* nobody is in that group */
        assert_int_equal(peer_find_by_word(c, "a", &p), 0);
        assert_int_equal(peer_find_by_word(c, "a@h", &p), 0);
        assert_int_equal(peer_find_by_word(c, "z", &p), -ENOENT);
        assert_int_equal(peer_find_by_word(c, "61000000000000000000000000000000", &p), 0);
        assert_int_equal(peer_find_by_word(c, "7a000000000000000000000000000000", &p), -ENOENT);
        assert_ptr_equal(p, NULL);
        assert_string_equal(peer_name(peer_of('a')), "a@h");
}

static void test_the_window_is_full(void **state)
{
        Submission s = submission(SELECTOR_TO, "a", "x");
        MessageFrame first = {};

        list("a");
        (void) send_to("a", "first");
        welcome('a', 5000);
        first = expect_message('a', "first");
        for (unsigned i = 1; i < STREAM_WINDOW; i++)
                assert_int_equal(submit(s), 0);
        assert_int_equal(submit(s), 0);
        assert_state(find(), DELIVERY_QUEUED); /* 1024 are open */
        assert_true(peer_of('a')->full);
        for (unsigned i = 1; i < STREAM_WINDOW; i++) {
                MessageFrame f = expect_message('a', "x");
                if (i < STREAM_WINDOW / 2 + 100)
                        answer('a', &f, OUTCOME_ACKED, "");
        }
        /* The first one holds the window up, so the others go on in another stream. */
        MessageFrame f = expect_message('a', "x");
        assert_false(sd_id128_equal(f.stream, first.stream));
        assert_int_equal(f.sequence, 1);
}

/* A receiver ends the connection when a sequence is a window above the low mark that it knows. */
static void test_the_window_as_the_receiver_knows_it(void **state)
{
        Submission s = submission(SELECTOR_TO, "a", "x");
        MessageFrame f = {};
        uint64_t low = 1;
        Frame frame;

        list("a");
        (void) send_to("a", "x");
        welcome('a', 5000);
        f = expect_message('a', "x");
        for (unsigned i = 1; i < STREAM_WINDOW; i++)
                assert_int_equal(submit(s), 0);
        answer('a', &f, OUTCOME_ACKED, ""); /* announced within a second */
        assert_int_equal(submit(s), 0);
        while (f.sequence <= STREAM_WINDOW) {
                assert_true(read_frame('a', &frame));
                if (frame.type == FRAME_SETTLED)
                        low = frame.settled.low;
                if (frame.type == FRAME_MESSAGE)
                        f = frame.message;
                assert_true(f.sequence < low + STREAM_WINDOW);
        }
}

static clock_t submit_many(unsigned n, unsigned priority)
{
        Submission s = submission(SELECTOR_ANY, "", "");
        const clock_t before = clock();

        s.transient = true;
        s.policy.priority = priority;
        for (unsigned i = 0; i < n; i++)
                assert_int_equal(submit(s), 0);
        return clock() - before;
}

/* Many messages are in memory only. Neither an urgent one nor one that comes back searches them all. */
static void test_a_long_queue_in_memory(void **state)
{
        enum { n = 4000, n_given_back = 800 };
        static MessageFrame f[n_given_back];

        config.outbox_limit = 1000000;
        list("");
        const clock_t usual = submit_many(n, 1);
        (void) submit_many(20 * n, 1);
        const clock_t urgent = submit_many(n, PRIORITY_MAX);
        assert_true(urgent < 5 * usual + CLOCKS_PER_SEC / 10);
        list("a");
        welcome('a', n_given_back);
        for (unsigned i = 0; i < n_given_back; i++)
                f[i] = expect_message('a', "");
        const clock_t before = clock();
        for (unsigned i = n_given_back; i > 0; i--)
                answer('a', f + i - 1, OUTCOME_BUSY, "");
        assert_true(clock() - before < 5 * usual + CLOCKS_PER_SEC / 10);
        const Message *m = c->queues.any->queued;
        for (unsigned i = 0; i < n_given_back; i++, m = m->queued.next)
                assert_true(sd_id128_equal(m->record.id, f[i].message));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, client_setup, client_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                        TEST(test_order_and_priority),
                        TEST(test_a_long_queue_is_on_disk),
                        TEST(test_a_page_that_cannot_be_read),
                        TEST(test_taken_back_to_its_old_place),
                        TEST(test_equals_take_turns),
                        TEST(test_keys),
                        TEST(test_a_key_while_its_message_is_written),
                        TEST(test_keys_without_anybody),
                        TEST(test_many_keys_and_a_small_window),
                        TEST(test_a_key_moves_when_its_receiver_drains),
                        TEST(test_unused_queues_are_freed),
                        TEST(test_who_is_meant),
                        TEST(test_the_window_is_full),
                        TEST(test_the_window_as_the_receiver_knows_it),
                        TEST(test_a_long_queue_in_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
