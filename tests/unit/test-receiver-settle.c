/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SETTLED and PRUNED, and room for the streams of new senders. */

#include "receiver-fixture.h"

#include <sqlite3.h>
#include <stdio.h>

#include "base/log.h"
#include "world/disk.h"

static void test_settled_while_it_runs(void **state)
{
        Fixture *f = *state;
        TestSocket *s;

        fixture_set_command(f, "work");
        fixture_start(f);
        s = sender_open();
        send_message(s, message(1, "x"));
        send_settled(s, stream_a, 2, 0);
        send_settled(s, stream_a, 2, SETTLED_CLOSED);
        world_advance(USEC_PER_SEC);
        expect_nothing(s); /* PRUNED waits for what runs */
        world_child_end(world_child(0), 0, NULL);
        world_settle();
        expect_answer(s, 1, OUTCOME_ACKED, NULL);
        world_advance(USEC_PER_SEC);
        assert_int_equal(next_frame(s).type, FRAME_PRUNED);
        assert_int_equal(dedup_index_entries(f->receiver->index), 0);
        assert_null(f->receiver->settles.by_stream);

        send_settled(s, stream_b, 9, SETTLED_CLOSED); /* never heard of */
        world_advance(USEC_PER_SEC);
        assert_int_equal(next_frame(s).type, FRAME_PRUNED);
}

/* Its sender has given it up while it waited for a handler, and perhaps sent it elsewhere. */
static void test_settled_while_it_waits(void **state)
{
        static const uint32_t flags[] = {0, SETTLED_CLOSED};
        Fixture *f = *state;
        TestSocket *s;

        f->config.concurrency = 1;
        f->config.queue = 4;
        fixture_set_command(f, "work");
        fixture_start(f);
        s = sender_open();
        for (unsigned i = 0; i < ELEMENTSOF(flags); i++) {
                MessageFrame runs = message(1, "runs"), waits = message(2, "waits");

                runs.stream = waits.stream = i == 0 ? stream_a : stream_b;
                send_message(s, runs);
                send_message(s, waits);
                send_settled(s, runs.stream, 3, flags[i]);
                world_settle();
                world_child_end(world_child(0), 0, NULL);
                world_settle();
                expect_answer(s, 1, OUTCOME_ACKED, NULL);
                world_advance(USEC_PER_SEC);
                assert_int_equal(warden_count(), 0);
                assert_int_equal(f->receiver->jobs.n, 0);
                assert_int_equal(dedup_index_entries(f->receiver->index), 0);
        }
        assert_int_equal(next_frame(s).type, FRAME_PRUNED);
}

/* What an older connection of the sender holds of a closed stream does not come after it. */
static void test_closed_by_a_newer_connection(void **state)
{
        TestSocket *old, *s;

        fixture_start(*state);
        old = sender_open();
        s = sender_open();
        send_message(s, message(1, "x"));
        expect_answer(s, 1, OUTCOME_ACKED, "");
        send_settled(s, stream_a, 2, SETTLED_CLOSED);
        world_settle();
        world_advance(USEC_PER_SEC);
        assert_int_equal(next_frame(s).type, FRAME_PRUNED);
        assert_true(world_is_closed(old) || world_is_shut(old));
}

static void test_settled_by_ranges(void **state)
{
        Fixture *f = *state;
        SequenceSet set;
        Buffer b = {};
        TestSocket *s;

        fixture_start(f);
        s = sender_open();
        for (uint64_t i = 1; i <= 9; i++) {
                send_message(s, message(i, "x"));
                expect_answer(s, i, OUTCOME_ACKED, "");
        }
        world_hold_disk(true); /* what is announced meanwhile goes with the next write */
        for (unsigned round = 0; round < 2; round++) {
                sequence_set_init(&set);
                assert_int_equal(sequence_set_add(&set, 2 + 4 * round, 3 + 4 * round), 0);
                assert_int_equal(frame_encode_settled(&b, stream_a, 0, &set), 0);
                sequence_set_clear(&set);
        }
        world_send(s, buffer_peek(&b), buffer_size(&b));
        buffer_clear(&b);
        world_settle();
        world_hold_disk(false);
        world_advance(USEC_PER_SEC);
        fixture_end(f);
        assert_int_equal(fixture_new(f), 0);
        fixture_register(RECEIVER_TEXT_ID, 30);
        s = sender_open();
        for (uint64_t i = 1; i <= 9; i++) {
                bool settled = i == 2 || i == 3 || i == 6 || i == 7;

                send_message(s, message(i, "x"));
                expect_answer(s, i, settled ? OUTCOME_SETTLED : OUTCOME_ACKED, "");
        }
}

/* One range for every other sequence, as many as a frame can have. */
static void send_holes(TestSocket *s, uint64_t from)
{
        SequenceSet set;
        Buffer b = {};

        sequence_set_init(&set);
        for (uint64_t i = 0; i < STREAM_WINDOW; i++)
                assert_int_equal(sequence_set_add(&set, from + 2 * i, from + 2 * i), 0);
        assert_int_equal(frame_encode_settled(&b, stream_a, 0, &set), 0);
        sequence_set_clear(&set);
        world_send(s, buffer_peek(&b), buffer_size(&b));
        buffer_clear(&b);
        world_settle();
}

static void test_too_many_holes(void **state)
{
        TestSocket *s;

        fixture_start(*state);
        s = sender_open();
        send_holes(s, 2);
        send_holes(s, 10000);
        expect_nothing(s);
        send_holes(s, 20000);
        expect_error(s, "more messages are open in the stream than its window allows");
}

/* In the tables of a receiver that has ended. */
static int n_records(const Fixture *f)
{
        char path[200];
        sqlite3 *sql = NULL;
        sqlite3_stmt *s = NULL;
        int n;

        (void) snprintf(path, sizeof path, "%s/receiver.db", f->config.state_directory);
        assert_int_equal(sqlite3_open_v2(path, &sql, SQLITE_OPEN_READWRITE, disk_vfs()), SQLITE_OK);
        assert_int_equal(sqlite3_exec(sql, "PRAGMA locking_mode=EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_prepare_v2(sql, "SELECT count(*) FROM outcome", -1, &s, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(s), SQLITE_ROW);
        n = sqlite3_column_int(s, 0);
        (void) sqlite3_finalize(s);
        (void) sqlite3_close(sql);
        return n;
}

/* Its record is written after it was settled, and is removed again. */
static void test_recorded_after_it_was_settled(void **state)
{
        Fixture *f = *state;
        TestSocket *s;

        fixture_set_command(f, "work");
        fixture_start(f);
        s = sender_open();
        send_message(s, message(1, "x"));
        send_settled(s, stream_a, 2, 0);
        world_advance(USEC_PER_SEC);
        fake_disk_fail(1, EIO, true); /* so that the settlement gets to the tables alone */
        world_child_end(world_child(0), 0, NULL);
        world_settle();
        fake_disk_fail(0, 0, false);
        world_advance(3 * USEC_PER_SEC);
        fixture_end(f);
        assert_int_equal(n_records(f), 0);
}

/* What the disk refuses is written when it takes it, though nobody announces it again. */
static void test_disk_refuses(void **state)
{
        Fixture *f = *state;
        TestSocket *s;

        fixture_start(f);
        s = sender_open();
        send_message(s, message(1, "x"));
        expect_answer(s, 1, OUTCOME_ACKED, "");
        fake_disk_fail(1, ENOSPC, true);
        send_settled(s, stream_a, 2, 0);
        world_advance(20 * USEC_PER_SEC);
        assert_non_null(f->receiver->settles.by_stream);
        fake_disk_fail(0, 0, false);
        world_advance(6 * USEC_PER_SEC);
        assert_null(f->receiver->settles.by_stream);

        fake_disk_fail(1, ENOSPC, true);
        send_settled(s, stream_a, 2, SETTLED_CLOSED);
        world_advance(20 * USEC_PER_SEC);
        fake_disk_fail(0, 0, false);
        expect_nothing(s);
        world_advance(6 * USEC_PER_SEC);
        assert_int_equal(next_frame(s).type, FRAME_PRUNED);
        assert_null(f->receiver->settles.by_stream);
}

/* Streams of senders that are gone make room for new ones. */
static void test_too_many_streams(void **state)
{
        Fixture *f = *state;
        MessageFrame m = message(1, "x");
        TestSocket *s, *other;

        log_set_level(LOG_NOTICE);
        fixture_start(f);
        s = sender_open();
        for (uint64_t i = 0; i < RECEIVER_STREAMS_MAX; i++) {
                m.stream = (sd_id128_t){.qwords = {1, i}};
                send_message(s, m);
                expect_answer(s, 1, OUTCOME_ACKED, "");
        }
        m.stream = stream_b;
        send_message(s, m);
        expect_answer(s, 1, OUTCOME_BUSY, "");
        assert_true(f->receiver->settles.full);
        send_frame(s, &(Frame){.type = FRAME_CANCEL, .cancel = {stream_b, 1, message_id(1)}});
        expect_answer(s, 1, OUTCOME_BUSY, "");
        send_settled(s, stream_b, 2, 0); /* no room either: it is not an error */
        expect_nothing(s);

        /* One that is settled, and whose sender is not connected. */
        other = sender_open();
        send_settled(other, (sd_id128_t){.qwords = {1, 7}}, 2, 0);
        world_advance(USEC_PER_SEC);
        world_close(other, 0);
        world_settle();
        send_message(s, m);
        expect_answer(s, 1, OUTCOME_ACKED, "");
        assert_false(f->receiver->settles.full);

        /* One of a sender that has been silent for a day, with an outcome. */
        world_close(s, 0);
        world_advance(STREAM_SILENT_USEC + USEC_PER_SEC);
        for (TestRequest *q; (q = world_request("")); world_advance(10 * USEC_PER_SEC))
                world_answer(q, 200, "{\"lease_seconds\":86400,\"draining\":false}");
        s = sender_open();
        m.stream = stream_a;
        send_message(s, m);
        expect_answer(s, 1, OUTCOME_ACKED, "");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
                        TEST(test_settled_while_it_runs),
                        TEST(test_settled_while_it_waits),
                        TEST(test_closed_by_a_newer_connection),
                        TEST(test_settled_by_ranges),
                        TEST(test_recorded_after_it_was_settled),
                        TEST(test_disk_refuses),
                        TEST(test_too_many_holes),
                        TEST(test_too_many_streams),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
