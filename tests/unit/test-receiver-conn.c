/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections: HELLO, frames in pieces and out of place, credit, plain text, what is not read. */

#include "receiver-fixture.h"

static uint32_t next_credit(TestSocket *s)
{
        Frame f = any_frame(s);

        assert_int_equal(f.type, FRAME_CREDIT);
        return f.credit;
}

static Buffer hello(const char *receiver)
{
        Frame f = {.type = FRAME_HELLO, .hello.name = {(const uint8_t *) "h", 1}};
        Buffer b = {};

        assert_true(sd_id128_from_string(receiver, &f.hello.receiver) >= 0);
        assert_int_equal(frame_encode(&b, &f), 0);
        return b;
}

static void test_welcome(void **state)
{
        TestSocket *s;
        Frame f;

        fixture_start(*state);
        s = world_connect(RECEIVER_ADDRESS);
        Buffer b = hello(RECEIVER_TEXT_ID);
        for (; buffer_size(&b) > 0; buffer_consume(&b, 1)) {
                expect_nothing(s);
                world_send(s, buffer_peek(&b), 1);
                world_settle();
        }
        buffer_clear(&b);
        f = next_frame(s);
        assert_int_equal(f.type, FRAME_WELCOME);
        assert_int_equal(f.welcome.credit, 65);
        assert_int_equal(f.welcome.window, STREAM_WINDOW);
        assert_int_equal(f.welcome.max_payload, PAYLOAD_DEFAULT_MAX);
        assert_true(bytes_equal(f.welcome.name, "one"));
        send_frame(s, &(Frame){.type = FRAME_PING, .token = 42});
        f = next_frame(s);
        assert_int_equal(f.type, FRAME_PONG);
        assert_int_equal(f.token, 42);
}

static void test_wrong_receiver(void **state)
{
        Buffer b = hello("22222222-2222-4222-8222-222222222222");
        TestSocket *s;

        fixture_start(*state);
        s = world_connect(RECEIVER_ADDRESS);
        world_send(s, buffer_peek(&b), buffer_size(&b));
        buffer_clear(&b);
        world_settle();
        expect_error(s, "this receiver is " RECEIVER_TEXT_ID);
        world_close(s, 0);
        world_settle();
        assert_true(world_is_closed(s));
        assert_int_equal(((Fixture *) *state)->receiver->conns.n, 0);
}

static void test_what_is_no_frame(void **state)
{
        TestSocket *s;

        fixture_start(*state);
        s = world_connect(RECEIVER_ADDRESS);
        world_send(s, "hello", 5);
        world_settle();
        expect_error(s, "no plain text");

        s = world_connect(RECEIVER_ADDRESS);
        world_send(s,
                        "\xac"
                        "AG\2abcdefgh",
                        12);
        world_settle();
        expect_error(s, "");
        world_send(s, "more", 4); /* is dropped */
        world_settle();
        expect_nothing(s);

        s = world_connect(RECEIVER_ADDRESS);
        send_message(s, message(1, "x"));
        expect_error(s, "is not allowed here");

        s = sender_open();
        char large[PAYLOAD_DEFAULT_MAX + 20000] = {};
        MessageFrame m = message(1, "");
        m.payload = (Bytes){(const uint8_t *) large, sizeof large};
        send_message(s, m);
        expect_error(s, "");
}

static void test_hello_in_time(void **state)
{
        TestSocket *s;

        fixture_start(*state);
        s = world_connect(RECEIVER_ADDRESS);
        world_advance(9 * USEC_PER_SEC);
        expect_nothing(s);
        world_advance(USEC_PER_SEC);
        expect_error(s, "no HELLO came");
        assert_false(world_is_closed(s));
        world_advance(2 * USEC_PER_SEC); /* so long it may read that */
        assert_true(world_is_closed(s));
}

static void test_peer_goes(void **state)
{
        Fixture *f = *state;
        TestSocket *s;

        fixture_start(f);
        s = sender_open();
        world_close(s, -ECONNRESET);
        world_settle();
        assert_int_equal(f->receiver->conns.n, 0);
        s = sender_open();
        world_shutdown(s);
        world_settle();
        assert_int_equal(f->receiver->conns.n, 0);
        assert_true(world_is_closed(s));
}

/* Equal shares; no more is granted than there are places. */
static void test_credit(void **state)
{
        Fixture *f = *state;
        TestSocket *a, *b, *c;

        fixture_start(f);
        a = sender_open();
        b = sender_open();
        assert_int_equal(next_credit(a), 33);
        assert_int_equal(next_credit(b), 32); /* beside the 0 of WELCOME */
        c = sender_open();
        assert_int_equal(next_credit(a), 22);
        assert_int_equal(next_credit(b), 22);
        assert_int_equal(next_credit(c), 21);
        world_close(a, 0);
        world_settle();
        assert_int_equal(next_credit(b), 33);
        assert_int_equal(next_credit(c), 32);

        ReceiverConfig fresh = f->config;
        fresh.command = NULL;
        fresh.concurrency = 3;
        fresh.queue = 0;
        assert_int_equal(receiver_reload(f->receiver, &fresh, &f->error), 0);
        world_settle();
        assert_int_equal(next_credit(b), 2);
        assert_int_equal(next_credit(c), 1);
}

static void test_too_many_connections(void **state)
{
        TestSocket *s;

        fixture_start(*state);
        for (unsigned i = 0; i < CONNECTIONS_DEFAULT_MAX; i++) {
                assert_non_null(world_connect(RECEIVER_ADDRESS));
                world_settle();
        }
        s = world_connect(RECEIVER_ADDRESS);
        world_settle();
        expect_error(s, "too many connections");
        assert_true(world_is_closed(s));
}

/* A peer that does not read is not read either. */
static void test_unread_output(void **state)
{
        enum { N = 70000 };
        Buffer b = {};
        TestSocket *s;

        fixture_start(*state);
        s = sender_open();
        world_stall(s, true);
        for (unsigned i = 0; i < N; i++)
                assert_int_equal(frame_encode(&b, &(Frame){.type = FRAME_PING, .token = i}), 0);
        world_send(s, buffer_peek(&b), buffer_size(&b));
        buffer_clear(&b);
        world_settle();
        expect_nothing(s);
        world_stall(s, false);
        world_settle();
        for (unsigned i = 0; i < N; i++)
                assert_int_equal(next_frame(s).token, i);
}

static void test_acks_withheld(void **state)
{
        Fixture *f = *state;
        TestSocket *s;

        f->config.failure_probability = 1;
        f->config.plain_text = true;
        fixture_start(f);
        s = sender_open();
        send_message(s, message(1, "x"));
        expect_nothing(s);
        s = world_connect(RECEIVER_ADDRESS);
        world_send(s, "x", 1);
        world_shutdown(s);
        world_settle();
        expect_nothing(s);
        assert_true(world_is_shut(s));
}

/* Plain text. */

static TestSocket *send_text(const char *text, bool shut)
{
        TestSocket *s = world_connect(RECEIVER_ADDRESS);

        world_send(s, text, strlen(text));
        if (shut)
                world_shutdown(s);
        world_settle();
        return s;
}

static void expect_text(TestSocket *s, const char *text)
{
        Buffer *in = world_received(s);

        assert_true(bytes_equal((Bytes){buffer_peek(in), buffer_size(in)}, text));
        assert_true(world_is_shut(s));
}

static void test_text(void **state)
{
        Fixture *f = *state;
        TestSocket *s;

        f->config.plain_text = true;
        fixture_start(f);
        expect_text(send_text("hello", true), "ACK");

        s = send_text("hel", false);
        world_advance(40 * USEC_PER_MSEC);
        world_send(s, "lo", 2);
        world_advance(40 * USEC_PER_MSEC);
        expect_nothing(s);
        world_advance(10 * USEC_PER_MSEC);
        expect_text(s, "ACK");
}

static void test_text_to_handler(void **state)
{
        Fixture *f = *state;
        TestSocket *s, *second, *third;

        f->config.plain_text = true;
        f->config.queue = 1;
        f->config.max_payload = 100;
        fixture_set_command(f, "work");
        fixture_start(f);
        s = send_text("first", true);
        second = send_text("second", true);
        third = send_text("third", true); /* no room */
        expect_text(third, "");
        assert_string_equal(world_child(0)->input, "first");
        assert_string_equal(world_environment(world_child(0), "ACKGROUP_POSSIBLE_DUPLICATE"), "1");
        expect_nothing(s);
        world_child_end(world_child(0), 0, "reply");
        world_settle();
        expect_text(s, "ACK");
        world_child_end(world_child(0), 1, NULL);
        world_settle();
        expect_text(second, ""); /* it failed: the connection just ends */

        char large[102] = "";
        memset(large, 'x', 101);
        expect_text(send_text(large, false), "");
        assert_null(world_child(0));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
                        TEST(test_welcome),
                        TEST(test_wrong_receiver),
                        TEST(test_what_is_no_frame),
                        TEST(test_hello_in_time),
                        TEST(test_peer_goes),
                        TEST(test_credit),
                        TEST(test_too_many_connections),
                        TEST(test_unread_output),
                        TEST(test_acks_withheld),
                        TEST(test_text),
                        TEST(test_text_to_handler),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
