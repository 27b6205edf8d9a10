/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The disk of the client refuses, fails, hangs, and loses power. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client-fixture.h"

static void on_found(DbOp *op, int r)
{
}

static void ack_first(void)
{
        list("a");
        (void) send_to("a", "x");
        welcome('a', 4);
        MessageFrame f = expect_message('a', "x");
        answer('a', &f, OUTCOME_ACKED, "");
}

/* A message of which everything is over. */
static void settle_first(void)
{
        Frame s;

        ack_first();
        pass(USEC_PER_SEC);
        assert_true(next_settled('a', &s));
}

static void refuse_next(int error)
{
        fake_disk_fail(1, error, true);
        assert_int_equal(submit(submission(SELECTOR_TO, "a", "x")), 0);
        assert_int_equal(last.result, -error);
}

/* Nothing is announced as long as the disk fails. */
static void expect_settled_after_recovery(uint64_t low)
{
        Frame s;

        pass(5 * USEC_PER_SEC);
        assert_false(next_settled('a', &s));
        fake_disk_fail(0, 0, false);
        pass(3 * USEC_PER_SEC);
        assert_true(next_settled('a', &s));
        assert_int_equal(s.settled.low, low);
}

static void test_refused_at_acceptance(void **state)
{
        ack_first();
        refuse_next(ENOSPC);
        assert_int_equal(c->messages.n_open, 0);
        fake_disk_fail(0, 0, false);
        (void) send_to("a", "y");
        MessageFrame f = expect_message('a', "y");
        assert_int_equal(f.sequence, 3); /* what was refused is settled */
        answer('a', &f, OUTCOME_ACKED, "");
        pass(3 * USEC_PER_SEC);
        Frame s;
        assert_true(next_settled('a', &s));
        while (next_settled('a', &s))
                ;
        assert_int_equal(s.settled.low, 4);
}

/* While the disk refuses to erase it, too, the next start may find the message, and send it. */
static void test_refused_and_not_erased(void **state)
{
        Frame s;

        settle_first();
        refuse_next(EIO);
        expect_settled_after_recovery(3);

        /* A client that stops does not wait for it. */
        refuse_next(EIO);
        client_stop(c);
        fake_disk_fail(0, 0, false);
        assert_false(next_settled('a', &s));
}

/* A crash could forget such a stream, and then nobody would ever close it at the receiver. */
static void test_a_stream_that_is_not_stored(void **state)
{
        Frame s;

        settle_first();
        client_crash();
        list("a");
        welcome('a', 4);
        assert_true(next_settled('a', &s)); /* the old stream */
        refuse_next(ENOSPC);
        expect_settled_after_recovery(2);
}

static void test_an_end_waits_for_the_disk(void **state)
{
        list("a");
        Message *m = send_to("a", "x");
        welcome('a', 4);
        MessageFrame f = expect_message('a', "x");
        (void) events();
        fake_disk_fail(1, EIO, true);
        answer('a', &f, OUTCOME_REJECTED, "no");
        assert_state(m, DELIVERY_REJECTED);
        assert_false(message_is_synced(m));
        assert_events(""); /* an end is told when it is on disk */
        pass(5 * USEC_PER_SEC);
        assert_events("");
        fake_disk_fail(0, 0, false);
        pass(USEC_PER_SEC);
        assert_events("rejected");
        assert_true(message_is_synced(m));
        assert_int_equal(stored_state(last.id), DELIVERY_REJECTED);
}

static void test_a_binding_waits_for_the_disk(void **state)
{
        list("");
        assert_int_equal(submit(submission(SELECTOR_ANY, "", "x")), 0);
        Message *m = find();
        assert_state(m, DELIVERY_QUEUED);
        list("a");
        fake_disk_fail(1, EIO, true);
        welcome('a', 4);
        assert_state(m, DELIVERY_QUEUED);
        assert_true(m->bind.pending);
        expect_nothing('a');
        fake_disk_fail(0, 0, false);
        pass(USEC_PER_SEC);
        (void) expect_message('a', "x");
        assert_state(m, DELIVERY_SENT);
}

static void test_attempts_are_kept_until_the_disk_takes_them(void **state)
{
        list("a");
        Message *m = send_to("a", "x");
        welcome('a', 4);
        MessageFrame f = expect_message('a', "x");
        c->config.policy.backoff_usec = 0;
        fake_disk_fail(1, EIO, true);
        for (unsigned i = 0; i < ATTEMPTS_KEPT + 3; i++) {
                answer('a', &f, OUTCOME_FAILED, "again");
                f = expect_message('a', "x");
        }
        assert_non_null(m->attempts);
        fake_disk_fail(0, 0, false);
        pass(USEC_PER_SEC);
        assert_null(m->attempts);
        assert_int_equal(m->record.attempts, ATTEMPTS_KEPT + 3);
}

static void test_a_binding_that_cannot_be_written(void **state)
{
        static char payload[5000];

        memset(payload, 'y', sizeof payload - 1);
        list("a");
        Message *m = send_to("a", payload);
        fake_disk_fail(1, EIO, true);
        welcome('a', 4);
        expect_nothing('a');
        assert_state(m, DELIVERY_QUEUED);
        fake_disk_fail(0, 0, false);
        pass(USEC_PER_SEC);
        (void) expect_message('a', payload);
}

static void test_the_power_goes(void **state)
{
        Frame s;

        list("a");
        (void) send_to("a", "1");
        (void) send_to("a", "2");
        welcome('a', 4);
        MessageFrame f = expect_message('a', "1");
        answer('a', &f, OUTCOME_ACKED, "");
        assert_int_equal(stored_state(last.id), DELIVERY_BOUND);
        sd_id128_t id = last.id;
        client_crash();
        assert_int_equal(c->messages.n_open, 1);
        Message *m = message_find(c, id);
        assert_non_null(m);
        assert_state(m, DELIVERY_BOUND);
        welcome('a', 4); /* its addresses were kept */
        f = expect_message('a', "2");
        assert_int_equal(f.flags, MESSAGE_POSSIBLE_DUPLICATE);
        answer('a', &f, OUTCOME_ACKED, "");
        pass(USEC_PER_SEC);
        while (next_settled('a', &s))
                ;
        assert_int_equal(c->messages.n_open, 0);
}

static void test_the_power_goes_while_it_is_cancelled(void **state)
{
        Frame f;

        list("a");
        Message *m = send_to("a", "1");
        welcome('a', 4);
        (void) expect_message('a', "1");
        sd_id128_t id = last.id;
        assert_int_equal(message_cancel(m), 0);
        run();
        client_crash();
        assert_state(message_find(c, id), DELIVERY_CANCELLING);
        welcome('a', 4);
        assert_true(next_frame('a', &f));
        assert_int_equal(f.type, FRAME_CANCEL);
}

static void test_the_power_goes_while_plain_text_is_cancelled(void **state)
{
        list_plain("p");
        Message *m = send_to("p", "1");
        fake_connection_accept(wire('p'));
        run();
        sd_id128_t id = last.id;
        assert_state(m, DELIVERY_SENT);
        assert_int_equal(message_cancel(m), 0); /* the wish is written first, then its end */
        db_kick(c->db);
        assert_true(fake_worker_run());
        client_crash();
        run();
        assert_int_equal(stored_state(id), DELIVERY_CANCELLED); /* nobody can be asked */
}

static void test_in_memory_it_is_lost(void **state)
{
        Submission s = submission(SELECTOR_TO, "a", "x");

        list("a");
        s.transient = true;
        assert_int_equal(submit(s), 0);
        assert_int_equal(last.result, 0);
        assert_int_equal(c->transient.n_bytes, 1);
        welcome('a', 4);
        MessageFrame f = expect_message('a', "x");
        assert_int_equal(f.flags, MESSAGE_TRANSIENT);
        answer('a', &f, OUTCOME_ACKED, "");
        assert_int_equal(c->transient.n_bytes, 1); /* until it leaves memory */
        assert_state(find(), DELIVERY_ACKED);

        /* A dead letter is not lost. */
        assert_int_equal(submit(s), 0);
        sd_id128_t id = last.id;
        f = expect_message('a', "x");
        fake_disk_fail(1, EIO, true);
        answer('a', &f, OUTCOME_REJECTED, "no");
        fake_disk_fail(0, 0, false);
        pass(USEC_PER_SEC);
        assert_int_equal(stored_state(id), DELIVERY_REJECTED);
        assert_false(message_find(c, id)->transient);

        assert_int_equal(submit(s), 0);
        id = last.id;
        client_crash();
        assert_null(message_find(c, id));
        assert_int_equal(c->messages.n_dead, 1);
}

static void test_what_cannot_be_in_memory(void **state)
{
        Submission s = submission(SELECTOR_ALL, "", "x");

        list("a");
        s.transient = true;
        assert_int_equal(submit(s), -EINVAL);
        s.mode = SELECTOR_ANY;
        s.delay_usec = 1;
        assert_int_equal(submit(s), -EINVAL);
        s.delay_usec = 0;
        s.size = MEMORY_BYTES_MAX + 1;
        assert_int_equal(submit(s), -EDQUOT);
}

static void on_submitted(Message *m, int r, uint64_t number, void *userdata)
{
        *(int *) userdata = r;
}

/* The message that has this key is on disk only, and a client that stops reads nothing any more. */
static void test_the_same_key_while_it_stops(void **state)
{
        Submission s = submission(SELECTOR_TO, "a", "x");
        int result = 1;

        s.idempotency_key = "k";
        list("a");
        assert_int_equal(submit(s), 0);
        welcome('a', 4);
        MessageFrame f = expect_message('a', "x");
        answer('a', &f, OUTCOME_ACKED, "");
        client_crash();
        list("a");
        assert_null(find());
        assert_int_equal(client_submit(c, &s, on_submitted, &result, &submit_error), 0);
        client_stop(c);
        assert_int_equal(result, -ESHUTDOWN);
}

static void test_the_history_is_trimmed(void **state)
{
        config.history = 10;
        client_end();
        client_begin();
        list("a");
        (void) send_to("a", "x");
        sd_id128_t first = last.id;
        welcome('a', 4);
        MessageFrame f = expect_message('a', "x");
        answer('a', &f, OUTCOME_ACKED, "");
        for (unsigned i = 0; i < 130; i++) {
                (void) send_to("a", "x");
                f = expect_message('a', "x");
                answer('a', &f, OUTCOME_ACKED, "");
        }
        pass(USEC_PER_SEC);
        OutboxFindOp o;
        outbox_find_op_init(&o, OUTBOX_ID, 2);
        o.first = o.last = first;
        o.op.done = on_found;
        db_submit(c->db, &o.op);
        run();
        assert_int_equal(o.n_records, 0);
        outbox_records_free(o.records, o.n_records);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, client_setup, client_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                        TEST(test_refused_at_acceptance),
                        TEST(test_refused_and_not_erased),
                        TEST(test_a_stream_that_is_not_stored),
                        TEST(test_an_end_waits_for_the_disk),
                        TEST(test_a_binding_waits_for_the_disk),
                        TEST(test_attempts_are_kept_until_the_disk_takes_them),
                        TEST(test_a_binding_that_cannot_be_written),
                        TEST(test_the_power_goes),
                        TEST(test_the_power_goes_while_it_is_cancelled),
                        TEST(test_the_power_goes_while_plain_text_is_cancelled),
                        TEST(test_in_memory_it_is_lost),
                        TEST(test_what_cannot_be_in_memory),
                        TEST(test_the_same_key_while_it_stops),
                        TEST(test_the_history_is_trimmed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
