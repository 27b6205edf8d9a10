/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The way of a message: verdicts, queue, record, CANCEL, "working". */

#include "receiver-fixture.h"

#include <stdio.h>

#include "world/disk.h"

/* From the bytes of MESSAGE to the recorded ANSWER, and from SETTLED to PRUNED. */
static void test_life(void **state)
{
        Fixture *f = *state;
        TestSocket *s;

        fixture_set_command(f, "work");
        fixture_start(f);
        s = sender_open();
        send_message(s, message(1, "hello"));
        expect_nothing(s);
        assert_string_equal(world_child(0)->input, "hello");
        assert_int_equal(warden_count(), 1);
        world_hold_disk(true);
        fixture_child_ends(0, "reply");
        assert_int_equal(warden_count(), 0);
        expect_nothing(s); /* not before it is synced */
        world_hold_disk(false);
        world_settle();
        expect_answer(s, 1, OUTCOME_ACKED, "reply");

        send_message(s, message(1, "hello"));
        expect_answer(s, 1, OUTCOME_ACKED, "reply");
        fixture_restart(f);
        s = sender_open();
        send_message(s, message(1, "hello"));
        expect_answer(s, 1, OUTCOME_ACKED, "reply");
        assert_null(world_child(0));

        send_settled(s, stream_a, 2, 0);
        send_message(s, message(1, "hello"));
        expect_answer(s, 1, OUTCOME_SETTLED, "");
        world_advance(USEC_PER_SEC);
        assert_int_equal(dedup_index_entries(f->receiver->index), 0);
        fixture_restart(f);
        s = sender_open();
        send_message(s, message(1, "hello"));
        expect_answer(s, 1, OUTCOME_SETTLED, "");

        send_settled(s, stream_a, 2, SETTLED_CLOSED);
        world_settle();
        Frame pruned = next_frame(s);
        assert_int_equal(pruned.type, FRAME_PRUNED);
        assert_true(sd_id128_equal(pruned.stream, stream_a));
        fixture_restart(f);
        s = sender_open();
        send_message(s, message(1, "hello")); /* nothing is known of it any more */
        assert_non_null(world_child(0));
}

static void test_conflict_and_window(void **state)
{
        Fixture *f = *state;
        MessageFrame m = message(1, "other");
        TestSocket *s;

        fixture_start(f);
        s = sender_open();
        send_message(s, message(1, "x"));
        expect_answer(s, 1, OUTCOME_ACKED, "");
        m.message = message_id(99);
        send_message(s, m);
        Frame answer = next_frame(s);
        assert_int_equal(answer.answer.outcome, OUTCOME_CONFLICT);
        send_frame(s, &(Frame){.type = FRAME_CANCEL, .cancel = {stream_a, 1, message_id(99)}});
        assert_int_equal(next_frame(s).answer.outcome, OUTCOME_CONFLICT);

        send_message(s, message(STREAM_WINDOW + 1, "x"));
        expect_error(s, "sequence 1025 is more than 1024 above");
        s = sender_open();
        send_cancel(s, STREAM_WINDOW + 1);
        expect_error(s, "sequence 1025 is more than 1024 above");
}

/* A repetition is told that it runs; the answer goes to who asked last, for the highest attempt. */
static void test_in_progress(void **state)
{
        Fixture *f = *state;
        MessageFrame m = message(1, "x");
        TestSocket *s, *other;

        fixture_set_command(f, "work");
        fixture_start(f);
        s = sender_open();
        other = sender_open();
        while (buffer_size(world_received(s)) > 0 || buffer_size(world_received(other)) > 0)
                assert_int_equal(any_frame(buffer_size(world_received(s)) > 0 ? s : other).type,
                                FRAME_CREDIT);
        send_message(s, m);
        world_report(world_child(0), "progress 40 copying");
        world_settle();
        expect_answer(s, 1, OUTCOME_WORKING, "40 copying");
        m.attempt = 3;
        send_message(other, m);
        expect_answer(other, 1, OUTCOME_WORKING, "40 copying");
        fixture_child_ends(1, NULL);
        expect_nothing(s);
        Frame answer = next_frame(other);
        assert_int_equal(answer.answer.outcome, OUTCOME_FAILED);
        assert_int_equal(answer.answer.attempt, 3);
        assert_true(bytes_equal(answer.answer.data, "handler exited with status 1"));

        send_message(other, m); /* the same attempt: the record answers */
        expect_answer(other, 1, OUTCOME_FAILED, "handler exited with status 1");
        m.attempt = 4;
        send_message(other, m);
        assert_string_equal(world_environment(world_child(0), "ACKGROUP_ATTEMPT"), "4");
        fixture_child_ends(0, NULL);
        expect_answer(other, 1, OUTCOME_ACKED, "");
}

static void test_queue(void **state)
{
        Fixture *f = *state;
        TestSocket *s;

        f->config.queue = 1;
        fixture_set_command(f, "work");
        fixture_start(f);
        s = sender_open();
        send_message(s, message(1, "first"));
        send_message(s, message(2, "second"));
        send_message(s, message(3, "third"));
        Frame answer = next_frame(s);
        assert_int_equal(answer.answer.outcome, OUTCOME_BUSY);
        assert_int_equal(answer.answer.delay_ms, BUSY_DELAY_MS);
        assert_int_equal(world_n_children(), 1);
        fixture_child_ends(0, NULL);
        expect_answer(s, 1, OUTCOME_ACKED, NULL);
        assert_string_equal(world_child(0)->input, "second");
        send_message(s, message(3, "third"));
        expect_answer(s, 3, OUTCOME_WORKING, ""); /* at once, since it was refused before */
        fixture_child_ends(0, NULL);
        expect_answer(s, 2, OUTCOME_ACKED, NULL);
        fixture_child_ends(0, NULL);
        expect_answer(s, 3, OUTCOME_ACKED, NULL);

        ReceiverConfig fresh = f->config;
        fresh.command = NULL;
        assert_int_equal(strv_append(&fresh.command, "missing-program"), 0);
        assert_int_equal(receiver_reload(f->receiver, &fresh, &f->error), -EINVAL);
        strv_free(fresh.command);
        fresh.command = NULL;
        assert_int_equal(strv_append(&fresh.command, "other"), 0);
        fresh.concurrency = 2;
        assert_int_equal(receiver_reload(f->receiver, &fresh, &f->error), 0);
        send_message(s, message(4, "x"));
        send_message(s, message(5, "x"));
        assert_int_equal(world_n_children(), 2);
        assert_string_equal(world_child(1)->arguments[0], "other");
}

/* The sender is answered on the connection of the message, or nowhere. */
static void test_sender_gone(void **state)
{
        Fixture *f = *state;
        TestSocket *s;

        fixture_set_command(f, "work");
        fixture_start(f);
        s = sender_open();
        send_message(s, message(1, "x"));
        world_close(s, 0);
        world_settle();
        fixture_child_ends(0, "reply");
        s = sender_open();
        send_message(s, message(1, "x"));
        expect_answer(s, 1, OUTCOME_ACKED, "reply");
}

static const char *flag_of_run(void)
{
        return world_environment(world_child(0), "ACKGROUP_POSSIBLE_DUPLICATE");
}

/* A sender that has gone may have sent its messages to another receiver meanwhile. */
static void test_begins_after_its_sender_has_gone(void **state)
{
        Fixture *f = *state;
        TestSocket *s;

        fixture_set_command(f, "work");
        fixture_start(f);
        s = sender_open();
        send_message(s, message(1, "x"));
        send_message(s, message(2, "x"));
        assert_null(flag_of_run());
        world_close(s, 0);
        world_settle();
        fixture_child_ends(0, NULL);
        assert_string_equal(flag_of_run(), "1");
        fixture_child_ends(0, NULL);
        s = sender_open();
        send_message(s, message(3, "x"));
        assert_null(flag_of_run());
}

/* "working". */

static void test_working(void **state)
{
        Fixture *f = *state;
        uint8_t attribute[ATTRIBUTE_U32_SIZE];
        MessageFrame quick = message(2, "x");
        TestSocket *s;

        fixture_set_command(f, "work");
        fixture_start(f);
        s = sender_open();
        send_message(s, message(1, "x"));
        world_advance(WORKING_INTERVAL_USEC - 1000);
        expect_nothing(s);
        world_advance(1000);
        expect_answer(s, 1, OUTCOME_WORKING, "");
        expect_nothing(s);

        quick.attributes = frame_attribute_put_u32(attribute, ATTRIBUTE_ACK_TIMEOUT, 300);
        send_message(s, quick); /* queued: three times within its ack timeout */
        world_advance(101 * USEC_PER_MSEC);
        expect_answer(s, 2, OUTCOME_WORKING, "");
        expect_nothing(s);
        world_advance(101 * USEC_PER_MSEC);
        expect_answer(s, 2, OUTCOME_WORKING, "");
        fixture_child_ends(0, NULL);
        expect_answer(s, 1, OUTCOME_ACKED, "");
        fixture_child_ends(0, NULL);
        expect_answer(s, 2, OUTCOME_ACKED, "");
        world_advance(10 * USEC_PER_SEC);
        expect_nothing(s);
        assert_false(timer_is_armed(&f->receiver->working.timer));
}

/* A sender that was reloaded may have a shorter ack timeout when it asks again. */
static void test_working_for_a_shorter_timeout(void **state)
{
        Fixture *f = *state;
        uint8_t attribute[ATTRIBUTE_U32_SIZE];
        MessageFrame again = message(1, "x");
        TestSocket *s;

        fixture_set_command(f, "work");
        fixture_start(f);
        s = sender_open();
        send_message(s, message(1, "x"));
        again.attributes = frame_attribute_put_u32(attribute, ATTRIBUTE_ACK_TIMEOUT, 300);
        send_message(s, again);
        expect_answer(s, 1, OUTCOME_WORKING, "");
        for (unsigned i = 0; i < 5; i++) {
                expect_nothing(s);
                world_advance(101 * USEC_PER_MSEC);
                expect_answer(s, 1, OUTCOME_WORKING, "");
        }
}

static void test_progress_is_limited(void **state)
{
        TestSocket *s;

        fixture_set_command(*state, "work");
        fixture_start(*state);
        s = sender_open();
        send_message(s, message(1, "x"));
        for (unsigned i = 0; i < 100; i++) {
                char line[40];

                (void) snprintf(line, sizeof line, "progress %u", i);
                world_report(world_child(0), line);
                world_advance(10 * USEC_PER_MSEC);
        }
        unsigned n = 0;
        for (; buffer_size(world_received(s)) > 0; n++)
                assert_int_equal(next_frame(s).answer.outcome, OUTCOME_WORKING);
        assert_int_equal(n, 10);
}

/* CANCEL. */

static void test_cancel(void **state)
{
        Fixture *f = *state;
        TestSocket *s;

        fixture_set_command(f, "work");
        fixture_start(f);
        s = sender_open();
        send_message(s, message(1, "running"));
        send_message(s, message(2, "queued"));
        send_cancel(s, 2);
        expect_answer(s, 2, OUTCOME_CANCELLED, "");
        send_cancel(s, 1);
        assert_true(f->receiver->jobs.n == 0);
        expect_answer(s, 1, OUTCOME_CANCELLED, "");
        assert_null(world_child(0));
        send_cancel(s, 3); /* never seen */
        expect_answer(s, 3, OUTCOME_CANCELLED, "");
        send_message(s, message(3, "late"));
        expect_answer(s, 3, OUTCOME_CANCELLED, "");
        send_cancel(s, 3);
        expect_answer(s, 3, OUTCOME_CANCELLED, "");

        send_message(s, message(4, "x"));
        fixture_child_ends(0, "done");
        expect_answer(s, 4, OUTCOME_ACKED, "done");
        send_cancel(s, 4); /* too late */
        expect_answer(s, 4, OUTCOME_ACKED, "done");

        send_message(s, message(5, "x"));
        fixture_child_ends(1, NULL);
        expect_answer(s, 5, OUTCOME_FAILED, NULL);
        send_cancel(s, 5); /* the next attempt is cancelled before it comes */
        expect_answer(s, 5, OUTCOME_CANCELLED, "");
        MessageFrame m = message(5, "x");
        m.attempt = 2;
        send_message(s, m);
        expect_answer(s, 5, OUTCOME_CANCELLED, "");

        send_settled(s, stream_a, 6, 0);
        send_cancel(s, 5);
        expect_answer(s, 5, OUTCOME_SETTLED, "");
}

/* A handler that has ended by itself was not cancelled. */
static void test_cancel_comes_late(void **state)
{
        TestSocket *s;

        fixture_set_command(*state, "work");
        fixture_start(*state);
        s = sender_open();
        send_message(s, message(1, "x"));
        world_hold_disk(true);
        fixture_child_ends(0, "done");
        send_cancel(s, 1); /* being recorded */
        expect_nothing(s);
        world_hold_disk(false);
        world_settle();
        expect_answer(s, 1, OUTCOME_ACKED, "done");
}

/* Replies are read from disk, so many at once at most. */
static void test_many_repetitions(void **state)
{
        Buffer b = {};
        TestSocket *s;

        fixture_start(*state);
        s = sender_open();
        send_message(s, message(1, "x"));
        expect_answer(s, 1, OUTCOME_ACKED, "");
        world_hold_disk(true);
        for (unsigned i = 0; i < 1030; i++)
                assert_int_equal(frame_encode(&b, &(Frame){.type = FRAME_MESSAGE,
                                                                  .message = message(1, "x")}),
                                0);
        world_send(s, buffer_peek(&b), buffer_size(&b));
        buffer_clear(&b);
        world_settle();
        for (unsigned i = 0; i < 6; i++)
                expect_answer(s, 1, OUTCOME_WORKING, "");
        expect_nothing(s);
        send_settled(s, stream_a, 2, 0); /* those that are being read are answered all the same */
        world_hold_disk(false);
        world_advance(USEC_PER_SEC);
        for (unsigned i = 0; i < 1024; i++)
                expect_answer(s, 1, OUTCOME_ACKED, "");
        expect_nothing(s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
                        TEST(test_life),
                        TEST(test_conflict_and_window),
                        TEST(test_in_progress),
                        TEST(test_queue),
                        TEST(test_sender_gone),
                        TEST(test_begins_after_its_sender_has_gone),
                        TEST(test_working),
                        TEST(test_working_for_a_shorter_timeout),
                        TEST(test_progress_is_limited),
                        TEST(test_cancel),
                        TEST(test_cancel_comes_late),
                        TEST(test_many_repetitions),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
