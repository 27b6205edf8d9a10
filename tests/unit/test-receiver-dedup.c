/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "receiver/dedup.h"

#define START (1000 * USEC_PER_SEC)

static const sd_id128_t a = {.bytes = {1}}, b = {.bytes = {2}}, m = {.bytes = {7}}, other = {.bytes = {8}};

static int setup(void **state)
{
        return dedup_index_new(2, START, (DedupIndex **) state);
}

static int teardown(void **state)
{
        dedup_index_free(*state);
        return 0;
}

static DedupEntry *begin(DedupIndex *d, sd_id128_t stream, uint64_t sequence, uint32_t attempt)
{
        DedupEntry *e = NULL;

        assert_int_equal(dedup_index_judge(d, stream, sequence, m, attempt, NULL), DEDUP_RUN);
        assert_int_equal(dedup_index_begin(d, stream, sequence, m, attempt, NULL, &e), 0);
        return e;
}

/* Settles `first` to `last` of stream a. */
static void settle(DedupIndex *d, uint64_t first, uint64_t last)
{
        SequenceSet set;
        const SequenceSet *merged;

        sequence_set_init(&set);
        assert_int_equal(sequence_set_add(&set, first, last), 0);
        assert_int_equal(dedup_index_settle(d, &set, a, &merged), 0);
        assert_true(sequence_set_contains(merged, first));
        sequence_set_clear(&set);
}

/* A message runs once; its repetitions are told that it runs, then what came of it, then that it is settled.
 */
static void test_life(void **state)
{
        DedupIndex *d = *state;
        DedupRecord record;
        DedupEntry *e = begin(d, a, 1, 1);

        assert_int_equal(dedup_index_judge(d, a, 1, m, 1, NULL), DEDUP_IN_PROGRESS);
        assert_int_equal(dedup_index_judge(d, a, 1, m, 2, NULL), DEDUP_IN_PROGRESS);
        assert_int_equal(dedup_index_judge(d, a, 1, other, 1, NULL), DEDUP_CONFLICT);
        dedup_index_finish(d, e, OUTCOME_ACKED);
        for (uint32_t attempt = 1; attempt < 5; attempt++) {
                assert_int_equal(dedup_index_judge(d, a, 1, m, attempt, &record), DEDUP_RECORDED);
                assert_int_equal(record.outcome, OUTCOME_ACKED);
        }
        assert_int_equal(dedup_index_judge(d, a, 1, other, 1, NULL), DEDUP_CONFLICT);

        settle(d, 1, 1);
        assert_int_equal(dedup_index_judge(d, a, 1, m, 9, NULL), DEDUP_SETTLED);
        assert_int_equal(dedup_index_entries(d), 0);
}

static void test_failed_attempts(void **state)
{
        DedupIndex *d = *state;
        DedupRecord record;

        dedup_index_finish(d, begin(d, a, 1, 1), OUTCOME_FAILED);
        assert_int_equal(dedup_index_judge(d, a, 1, m, 1, &record), DEDUP_RECORDED);
        assert_int_equal(record.outcome, OUTCOME_FAILED);

        /* The second attempt could not be started: the first one's failure stands again. */
        dedup_index_abandon(d, begin(d, a, 1, 2));
        assert_int_equal(dedup_index_judge(d, a, 1, m, 1, &record), DEDUP_RECORDED);
        assert_int_equal(record.attempt, 1);

        dedup_index_finish(d, begin(d, a, 1, 2), OUTCOME_REJECTED);
        assert_int_equal(dedup_index_judge(d, a, 1, m, 3, &record), DEDUP_RECORDED);
        assert_int_equal(record.outcome, OUTCOME_REJECTED);
        assert_int_equal(record.attempt, 2);
}

static void test_abandon_new(void **state)
{
        DedupIndex *d = *state;

        dedup_index_abandon(d, begin(d, a, 1, 1));
        assert_int_equal(dedup_index_entries(d), 0);
        dedup_index_finish(d, begin(d, a, 1, 1), OUTCOME_ACKED);
        assert_int_equal(dedup_index_entries(d), 1);
}

static void test_settled_while_running(void **state)
{
        DedupIndex *d = *state;
        DedupEntry *e = begin(d, a, 3, 1);

        settle(d, 3, 3);
        assert_int_equal(dedup_index_judge(d, a, 3, m, 1, NULL), DEDUP_IN_PROGRESS);
        assert_int_equal(dedup_index_forget(d, a), -EBUSY);
        dedup_index_finish(d, e, OUTCOME_ACKED);
        assert_int_equal(dedup_index_judge(d, a, 3, m, 1, NULL), DEDUP_SETTLED);
        assert_int_equal(dedup_index_entries(d), 0);
        assert_int_equal(dedup_index_forget(d, a), 0);
        assert_int_equal(dedup_index_forget(d, b), 0);
}

/* No sender has so many gaps: each is one that is open. */
static void test_settled_in_pieces(void **state)
{
        DedupIndex *d = *state;
        const SequenceSet *merged;
        SequenceSet set;
        uint64_t at = 2;
        int r;

        do {
                sequence_set_init(&set);
                assert_int_equal(sequence_set_add(&set, at, at), 0);
                r = dedup_index_settle(d, &set, a, &merged);
                sequence_set_clear(&set);
                at += 2;
        } while (r >= 0 && at < 10 * STREAM_WINDOW);
        assert_int_equal(r, -EPROTO);
        assert_in_range(at, 2 * STREAM_WINDOW, 2 * STREAM_WINDOW + 10);
}

/* However many are said to be settled at once: what is open above them stays. */
static void test_settled_far(void **state)
{
        DedupIndex *d = *state;

        for (uint64_t i = 1; i <= 40; i++)
                dedup_index_finish(d, begin(d, a, i, 1), OUTCOME_ACKED);
        settle(d, 10, 10);
        settle(d, 20, 29);
        assert_int_equal(dedup_index_entries(d), 29);
        settle(d, 1, 9);
        assert_int_equal(dedup_index_entries(d), 20);
        assert_int_equal(dedup_index_judge(d, a, 30, m, 1, NULL), DEDUP_RECORDED);
        DedupEntry *e = begin(d, a, 41, 1);
        settle(d, 11, INT64_MAX - 1);
        assert_int_equal(dedup_index_entries(d), 1);
        dedup_index_finish(d, e, OUTCOME_ACKED);
        assert_int_equal(dedup_index_entries(d), 0);
}

static void test_bounds(void **state)
{
        DedupIndex *d = *state;
        const SequenceSet *merged;
        SequenceSet set;

        assert_int_equal(dedup_index_judge(d, a, STREAM_WINDOW + 1, m, 1, NULL), DEDUP_OUT_OF_WINDOW);
        for (uint64_t i = 1; i <= STREAM_WINDOW; i++)
                dedup_index_finish(d, begin(d, a, i, 1), OUTCOME_ACKED);
        assert_int_equal(dedup_index_judge(d, a, STREAM_WINDOW + 1, m, 1, NULL), DEDUP_OUT_OF_WINDOW);
        settle(d, 1, 10);
        assert_int_equal(dedup_index_entries(d), STREAM_WINDOW - 10);
        assert_int_equal(dedup_index_judge(d, a, STREAM_WINDOW + 10, m, 1, NULL), DEDUP_RUN);
        assert_int_equal(dedup_index_judge(d, a, STREAM_WINDOW + 11, m, 1, NULL), DEDUP_OUT_OF_WINDOW);
        assert_int_equal(dedup_index_judge(d, a, UINT64_MAX, m, 1, NULL), DEDUP_OUT_OF_WINDOW);

        (void) begin(d, b, 1, 1);
        assert_int_equal(dedup_index_judge(d, other, 1, m, 1, NULL), DEDUP_TOO_MANY);
        sequence_set_init(&set);
        assert_int_equal(dedup_index_settle(d, &set, other, &merged), -ENOSPC);
        assert_int_equal(dedup_index_forget(d, a), 0);
        assert_int_equal(dedup_index_judge(d, other, 1, m, 1, NULL), DEDUP_RUN);
        assert_int_equal(dedup_index_settle(d, &set, other, &merged), 0);
}

static bool is_in_use(sd_id128_t stream, uint64_t conn, void *userdata)
{
        return conn == *(uint64_t *) userdata;
}

/* Room is made by streams that need nothing remembered and whose sender is not there, the oldest first. */
static void test_evict(void **state)
{
        DedupIndex *d = *state;
        uint64_t open = 7;
        sd_id128_t stream;
        DedupEntry *e = begin(d, a, 1, 1);

        assert_int_equal(dedup_index_evict(d, START, is_in_use, &open, &stream), -ENOENT);
        dedup_index_finish(d, e, OUTCOME_ACKED); /* its record is needed */
        assert_int_equal(dedup_index_evict(d, START, is_in_use, &open, &stream), -ENOENT);
        settle(d, 1, 1);
        dedup_index_used(d, a, open, START);
        assert_int_equal(dedup_index_evict(d, START, is_in_use, &open, &stream), -ENOENT);
        open = 8;
        assert_int_equal(dedup_index_evict(d, START, is_in_use, &open, &stream), 0);
        assert_true(sd_id128_equal(stream, a));
        assert_int_equal(dedup_index_judge(d, a, 1, m, 1, NULL), DEDUP_RUN);
}

/* Where there are none, by the one that has been silent longest, if that is long enough; what it did is
 * lost. */
static void test_evict_silent(void **state)
{
        DedupIndex *d = *state;
        const uint64_t later = START + STREAM_SILENT_USEC;
        uint64_t open = 7;
        sd_id128_t stream;
        DedupEntry *e = begin(d, b, 1, 1);

        for (uint64_t i = 1; i <= 3; i++)
                dedup_index_finish(d, begin(d, a, i, 1), OUTCOME_ACKED);
        /* As if read from the disk: what was before this process is not known. */
        assert_int_equal(dedup_index_evict(d, later - 1, is_in_use, &open, &stream), -ENOENT);
        dedup_index_used(d, a, 1, START + 10);
        assert_int_equal(dedup_index_evict(d, later + 9, is_in_use, &open, &stream), -ENOENT);
        open = 1; /* its sender is there, and silent */
        assert_int_equal(dedup_index_evict(d, later + 10, is_in_use, &open, &stream), -ENOENT);
        open = 7;
        /* The other one has been silent for longer, but is in progress. */
        assert_int_equal(dedup_index_evict(d, later + 10, is_in_use, &open, &stream), 3);
        assert_true(sd_id128_equal(stream, a));
        assert_int_equal(dedup_index_judge(d, a, 1, m, 1, NULL), DEDUP_RUN);
        dedup_index_finish(d, e, OUTCOME_ACKED);
        dedup_index_finish(d, begin(d, a, 1, 1), OUTCOME_ACKED);
        dedup_index_used(d, a, 1, START + 5);
        dedup_index_used(d, b, 1, START + 6);
        assert_int_equal(dedup_index_evict(d, later + 20, is_in_use, &open, &stream), 1);
        assert_true(sd_id128_equal(stream, a));
        dedup_index_finish(d, begin(d, a, 1, 1), OUTCOME_ACKED);
        settle(d, 1, 1);
        dedup_index_used(d, a, 1, later);
        /* Nothing is lost with one that is settled, however fresh. */
        assert_int_equal(dedup_index_evict(d, later + 20, is_in_use, &open, &stream), 0);
        assert_true(sd_id128_equal(stream, a));
}

/* A retry that came while the first attempt ran gets that run's failure, and only the next one runs again.
 */
static void test_raise(void **state)
{
        DedupIndex *d = *state;
        DedupEntry *e = begin(d, a, 1, 1);

        dedup_index_raise(e, 3);
        dedup_index_raise(e, 2);
        dedup_index_finish(d, e, OUTCOME_FAILED);
        assert_int_equal(dedup_index_judge(d, a, 1, m, 3, NULL), DEDUP_RECORDED);
        assert_int_equal(dedup_index_judge(d, a, 1, m, 4, NULL), DEDUP_RUN);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_life, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_failed_attempts, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_abandon_new, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_settled_while_running, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_settled_far, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_settled_in_pieces, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_evict, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_evict_silent, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_raise, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
