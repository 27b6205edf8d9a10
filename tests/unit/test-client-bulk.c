/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Programs that send in bulk. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client-fixture.h"
#include "client/intake/lookup.h"

static Connection *program; /* our end is the fake's */
static size_t read_bytes;
static Error error;

static int open_stream(BulkOptions options)
{
        options.submission.policy = POLICY_ALL_OPEN;
        if (!options.submission.target)
                options.submission.target = "";
        error.text[0] = '\0';
        int r = bulk_open(c, -1, &options, &error);
        program = r < 0 ? NULL : fake_connection(0);
        read_bytes = 0;
        run();
        return r;
}

static BulkOptions any(void)
{
        return (BulkOptions){.submission.mode = SELECTOR_ANY, .settlements = true};
}

static bool next(Frame *ret)
{
        Error problem = {};
        bool open = false;

        run();
        for (unsigned i = 0; fake_connection(i); i++)
                open = open || fake_connection(i) == program;
        Buffer *b = open ? fake_connection_received(program) : fake_connection_last_words();
        buffer_consume(b, read_bytes);
        ssize_t n = frame_decode(buffer_peek(b), buffer_size(b), FRAME_BODY_MAX, ret, NULL, &problem);
        assert_true(n >= 0);
        read_bytes = (size_t) n;
        return n > 0;
}

static void expect(Frame *ret, FrameType type)
{
        assert_true(next(ret));
        assert_int_equal(ret->type, type);
}

static void put(const Frame *f)
{
        Buffer b = {};

        assert_int_equal(frame_encode(&b, f), 0);
        fake_connection_send(program, buffer_peek(&b), buffer_size(&b));
        buffer_clear(&b);
        run();
}

static void put_message(const char *payload)
{
        put(&(Frame){.type = FRAME_SUBMIT, .submit.payload = {(const uint8_t *) payload, strlen(payload)}});
}

static void put_key(uint8_t tag, const char *key)
{
        uint8_t attributes[300] = {tag, (uint8_t) (strlen(key) >> 8), (uint8_t) strlen(key)};

        memcpy(attributes + 3, key, strlen(key));
        put(&(Frame){.type = FRAME_SUBMIT,
                        .submit = {{attributes, 3 + strlen(key)}, {(const uint8_t *) "x", 1}}});
}

static void test_acks(void **state)
{
        Frame f;

        list("a");
        assert_int_equal(open_stream(any()), 0);
        expect(&f, FRAME_CREDIT);
        assert_int_equal(f.credit, BULK_CREDIT);
        put_message("1");
        put_message("2");
        expect(&f, FRAME_ACCEPTED);
        assert_int_equal(f.accepted.first, 1);
        assert_int_equal(f.accepted.ids.size, 16);
        expect(&f, FRAME_ACCEPTED);
        assert_int_equal(f.accepted.first, 2);
        welcome('a', 4);
        MessageFrame m = expect_message('a', "1");
        assert_int_equal(m.flags, MESSAGE_BULK);
        answer('a', &m, OUTCOME_ACKED, "reply");
        expect(&f, FRAME_SETTLEMENT);
        assert_int_equal(f.settlement.number, 1);
        assert_int_equal(f.settlement.end, SETTLEMENT_ACKED);
        assert_int_equal(f.settlement.data.size, 5);
        m = expect_message('a', "2");
        answer('a', &m, OUTCOME_REJECTED, "no");
        expect(&f, FRAME_SETTLEMENT);
        assert_int_equal(f.settlement.number, 2);
        assert_int_equal(f.settlement.end, SETTLEMENT_REJECTED);
        assert_int_equal(f.settlement.attempts, 1);
        assert_events("rejected"); /* they are quiet */
        fake_connection_half_close(program);
        run();
        assert_int_equal(c->bulk.n_programs, 0);
}

static void test_an_ack_is_told_before_the_disk_has_it(void **state)
{
        Frame f;

        list("a");
        assert_int_equal(open_stream(any()), 0);
        expect(&f, FRAME_CREDIT);
        put_message("1");
        expect(&f, FRAME_ACCEPTED);
        welcome('a', 4);
        MessageFrame m = expect_message('a', "1");
        fake_disk_fail(1, EIO, true);
        answer('a', &m, OUTCOME_ACKED, "");
        expect(&f, FRAME_SETTLEMENT);
        fake_disk_fail(0, 0, false);
        pass(USEC_PER_SEC);
        assert_false(next(&f)); /* once */
}

static void test_without_settlements(void **state)
{
        BulkOptions options = {.submission.mode = SELECTOR_TO, .submission.target = "a", .signals = true};
        Frame f;

        list("a");
        assert_int_equal(open_stream(options), 0);
        expect(&f, FRAME_CREDIT);
        put_message("1");
        expect(&f, FRAME_ACCEPTED);
        welcome('a', 4);
        MessageFrame m = expect_message('a', "1");
        answer('a', &m, OUTCOME_ACKED, "");
        assert_false(next(&f));
        assert_events("accepted bound sent acked");
        fake_connection_end(program, 0);
        assert_int_equal(c->bulk.n_programs, 0);
}

static void test_refused(void **state)
{
        BulkOptions options = {.submission.mode = SELECTOR_TO, .submission.target = "z"};
        Frame f;

        list("a");
        assert_int_equal(open_stream(options), 0);
        expect(&f, FRAME_CREDIT);
        put_message("1");
        expect(&f, FRAME_REFUSED);
        assert_int_equal(f.refused.number, 1);
        assert_memory_equal(f.refused.reason.data, "NoSuchReceiver", f.refused.reason.size);
        fake_disk_fail(1, ENOSPC, true);
        assert_int_equal(open_stream(any()), 0);
        expect(&f, FRAME_CREDIT);
        put_message("1");
        expect(&f, FRAME_REFUSED);
        assert_memory_equal(f.refused.reason.data, "Storage", f.refused.reason.size);
        fake_disk_fail(0, 0, false);
}

/* The story of a message that failed has an end. */
static void test_ack_after_a_failure(void **state)
{
        MessageFrame m;
        Frame f;

        list("a");
        assert_int_equal(open_stream(any()), 0);
        expect(&f, FRAME_CREDIT);
        put_message("1");
        expect(&f, FRAME_ACCEPTED);
        welcome('a', 4);
        m = expect_message('a', "1");
        answer('a', &m, OUTCOME_FAILED, "no");
        pass(USEC_PER_SEC);
        m = expect_message('a', "1");
        answer('a', &m, OUTCOME_ACKED, "");
        assert_events("failed acked");
}

static void test_keys(void **state)
{
        static char long_key[KEY_MAX_LENGTH + 2];
        BulkOptions options = {.submission.mode = SELECTOR_KEY, .settlements = true};
        Frame f;

        list("a");
        options.submission.key = "all";
        assert_int_equal(open_stream(options), 0);
        expect(&f, FRAME_CREDIT);
        put_key(ATTRIBUTE_KEY, "own");
        expect(&f, FRAME_ACCEPTED);
        put_key(ATTRIBUTE_IDEMPOTENCY_KEY, "mine");
        expect(&f, FRAME_ACCEPTED);
        put_key(ATTRIBUTE_IDEMPOTENCY_KEY, "mine");
        expect(&f, FRAME_REFUSED); /* somebody waits for its end already */
        assert_memory_equal(f.refused.reason.data, "UnderWay", f.refused.reason.size);
        memset(long_key, 'k', sizeof long_key - 1);
        put_key(ATTRIBUTE_KEY, long_key);
        expect(&f, FRAME_REFUSED);
        put_key(99, "passed over");
        expect(&f, FRAME_ACCEPTED);
        put(&(Frame){.type = FRAME_SUBMIT, .submit.attributes = {(const uint8_t *) "\1\0", 2}});
        expect(&f, FRAME_REFUSED);
        client_end(); /* with what is open */
        client_begin();
}

static void test_mistakes(void **state)
{
        Frame f;

        assert_int_equal(open_stream(any()), 0);
        expect(&f, FRAME_CREDIT);
        fake_connection_send(program, "GET / HTTP/1.1\r\n\r\n", 18);
        expect(&f, FRAME_ERROR);
        run();
        assert_int_equal(c->bulk.n_programs, 0);

        assert_int_equal(open_stream(any()), 0);
        expect(&f, FRAME_CREDIT);
        put(&(Frame){.type = FRAME_PING});
        expect(&f, FRAME_ERROR);
        assert_memory_equal(f.text.data, "only SUBMIT frames are allowed here", f.text.size);

        assert_int_equal(open_stream(any()), 0);
        expect(&f, FRAME_CREDIT);
        fake_connection_send(program, "\254AG", 3);
        fake_connection_half_close(program);
        expect(&f, FRAME_ERROR);
        assert_memory_equal(f.text.data, "the last frame is cut off", f.text.size);
}

static void test_it_ends_while_something_is_on_its_way(void **state)
{
        Frame f;

        list("a");
        assert_int_equal(open_stream(any()), 0);
        expect(&f, FRAME_CREDIT);
        fake_worker_hang(true);
        put_message("1");
        fake_connection_end(program, -EPIPE);
        assert_int_equal(c->bulk.n_programs, 1);
        fake_worker_hang(false);
        run();
        assert_int_equal(c->bulk.n_programs, 0);
        assert_int_equal(c->messages.n_open, 1); /* it was accepted all the same */
}

static void test_credit(void **state)
{
        Frame f;

        list("a");
        assert_int_equal(open_stream(any()), 0);
        expect(&f, FRAME_CREDIT);
        for (unsigned i = 0; i < BULK_CREDIT; i++)
                put_message("x");
        assert_true(fake_connection_is_paused(program));
        put_message("one more");
        assert_int_equal(c->messages.n_open, BULK_CREDIT);
        welcome('a', 1);
        MessageFrame m = expect_message('a', "x");
        answer('a', &m, OUTCOME_ACKED, "");
        assert_int_equal(c->messages.n_open, BULK_CREDIT);
        while (next(&f))
                ;
}

static void test_too_many_programs(void **state)
{
        for (unsigned i = 0; i < BULK_MAX; i++)
                assert_int_equal(open_stream(any()), 0);
        assert_int_equal(open_stream(any()), -EMFILE);
        assert_string_equal(error.text, "256 programs are submitting in bulk already");
}

static void test_answers_that_nobody_reads(void **state)
{
        static char reply[REPLY_MAX];
        Frame f;

        list("a");
        assert_int_equal(open_stream(any()), 0);
        expect(&f, FRAME_CREDIT);
        memset(reply, 'r', sizeof reply - 1);
        for (unsigned i = 0; i < 600; i++)
                put_message("x");
        fake_connection_block(program, true);
        welcome('a', 1000);
        for (unsigned i = 0; i < 600 && c->bulk.n_programs > 0; i++) {
                MessageFrame m = expect_message('a', "x");
                answer('a', &m, OUTCOME_ACKED, reply);
        }
        assert_int_equal(c->bulk.n_programs, 0);
        assert_true(c->messages.n_open < 600);
}

static void on_found(Message *m, int r, void *userdata)
{
        assert_int_equal(r, 0);
        message_pin(m);
}

/* What is on disk only, or was open at a restart, is still part of a bulk: nobody wants to read of each ack.
 * When somebody tries a dead letter again, he wants to. */
static void test_it_stays_a_bulk(void **state)
{
        Frame f;

        list("");
        assert_int_equal(open_stream(any()), 0);
        expect(&f, FRAME_CREDIT);
        put_message("1");
        expect(&f, FRAME_ACCEPTED);
        client_crash(); /* the message comes from the redo log, then from the tables */
        client_crash();
        list("a");
        welcome('a', 4);
        MessageFrame m = expect_message('a', "1");
        assert_int_equal(m.flags, MESSAGE_BULK);
        client_crash();
        list("a");
        welcome('a', 4);
        m = expect_message('a', "1");
        assert_int_equal(m.flags, MESSAGE_BULK | MESSAGE_POSSIBLE_DUPLICATE);
        answer('a', &m, OUTCOME_REJECTED, "no");
        assert_events("rejected");
        Message *dead = message_find(c, m.message);
        if (!dead) {
                char id[SD_ID128_UUID_STRING_MAX];
                message_look_up(c, sd_id128_to_uuid_string(m.message, id), on_found, NULL);
                run();
                dead = message_find(c, m.message);
        }
        assert_int_equal(message_revive(dead), 0);
        m = expect_message('a', "1");
        assert_int_equal(m.flags, MESSAGE_POSSIBLE_DUPLICATE);
}

/* Its members, too. */
static void test_a_bulk_to_all(void **state)
{
        BulkOptions options = {.submission.mode = SELECTOR_ALL, .settlements = true};
        Frame f;

        list("a");
        assert_int_equal(open_stream(options), 0);
        expect(&f, FRAME_CREDIT);
        put_message("1");
        expect(&f, FRAME_ACCEPTED);
        welcome('a', 4);
        MessageFrame m = expect_message('a', "1");
        assert_int_equal(m.flags, MESSAGE_BULK);
        answer('a', &m, OUTCOME_ACKED, "");
        expect(&f, FRAME_SETTLEMENT);
        assert_events("");
}

static void test_wrong_options(void **state)
{
        BulkOptions options = any();

        options.submission.target = "no/group";
        assert_int_equal(open_stream(options), -EINVAL);
        assert_int_equal(c->bulk.n_programs, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, client_setup, client_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                        TEST(test_acks),
                        TEST(test_an_ack_is_told_before_the_disk_has_it),
                        TEST(test_without_settlements),
                        TEST(test_refused),
                        TEST(test_ack_after_a_failure),
                        TEST(test_keys),
                        TEST(test_mistakes),
                        TEST(test_it_ends_while_something_is_on_its_way),
                        TEST(test_credit),
                        TEST(test_too_many_programs),
                        TEST(test_answers_that_nobody_reads),
                        TEST(test_wrong_options),
                        TEST(test_it_stays_a_bulk),
                        TEST(test_a_bulk_to_all),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
