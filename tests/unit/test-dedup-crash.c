/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The receiver's outcomes in crashes and failures of the disk: what was recorded with result 0 is there at
 * the next start. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "everywhere.h"
#include "store/dedup.h"

#define N 8 /* sequences */

static const sd_id128_t stream = {.bytes = {3}};
static const char reply[REPLY_MAX];
static Db *db;

static void on_done(DbOp *op, int result)
{
}

static void submit(DbOp *op)
{
        op->done = on_done;
        db_submit(db, op);
}

static void settle(void)
{
        db_kick(db);
        while (fake_worker_run())
                ;
        db_dispatch(db);
        assert_int_equal(db_pending(db), 0);
}

typedef struct Outcomes {
        int promised[N + 1]; /* attempt whose outcome was recorded */
        int asked[N + 1];
        uint64_t low_promised, low_asked;
} Outcomes;

static Outcomes outcomes;

static int open_dedup(const DedupLoad *load)
{
        Error error = {};
        int r = dedup_open("/dedup", 0, &db, &error);

        if (r >= 0 && load)
                r = dedup_load(db, load);
        return r < 0 ? r : db_start(db);
}

static void run_dedup(void)
{
        DedupRecordOp o;

        if (open_dedup(NULL) < 0)
                return;
        for (uint64_t n = 1; n <= 2 * N; n++) {
                const uint64_t sequence = (n - 1) / 2 + 1;
                const int attempt = (n - 1) % 2 + 1;

                dedup_record_op_init(&o);
                o.record = (DedupRecord){stream, sequence, {.bytes = {(uint8_t) sequence}},
                                (uint32_t) attempt, attempt == 1 ? OUTCOME_FAILED : OUTCOME_ACKED};
                o.reply = reply;
                o.reply_size = sequence % 4 == 0 ? REPLY_MAX : sequence;
                outcomes.asked[sequence] = attempt;
                submit(&o.op);
                settle();
                if (o.op.result >= 0)
                        outcomes.promised[sequence] = attempt;
                if (n != 10) /* after the outcomes of sequence 5 */
                        continue;
                DedupPruneOp prune;
                SequenceSet set;
                sequence_set_init(&set);
                assert_int_equal(sequence_set_add_below(&set, 3), 0);
                assert_int_equal(sequence_set_add(&set, 5, 5), 0);
                dedup_prune_op_init(&prune);
                prune.stream = stream;
                prune.settled = &set;
                outcomes.low_asked = 3;
                submit(&prune.op);
                settle();
                if (prune.op.result >= 0)
                        outcomes.low_promised = 3;
                sequence_set_clear(&set);
        }
        DedupReplyOp read; /* needs the tables */
        dedup_reply_op_init(&read);
        read.stream = stream;
        read.sequence = N;
        submit(&read.op);
        settle();
        free(read.reply);
}

typedef struct Loaded {
        uint64_t low;
        int attempt[N + 1];
} Loaded;

static int on_settled(sd_id128_t id, const SequenceSet *set, void *userdata)
{
        Loaded *l = userdata;

        l->low = set->low;
        assert_int_equal(set->n_ranges, 1);
        assert_int_equal(set->ranges[0].first, 5);
        return 0;
}

static int on_record(const DedupRecord *r, void *userdata)
{
        Loaded *l = userdata;

        assert_in_range(r->sequence, 1, N);
        assert_int_equal(r->message.bytes[0], r->sequence);
        assert_int_equal(r->outcome, r->attempt == 1 ? OUTCOME_FAILED : OUTCOME_ACKED);
        l->attempt[r->sequence] = (int) r->attempt;
        return 0;
}

static void check_dedup(void)
{
        Loaded l = {};

        assert_int_equal(open_dedup(&(DedupLoad){on_settled, on_record, &l}), 0);
        assert_true(l.low == 0 || l.low == 3);
        assert_true(l.low >= outcomes.low_promised && l.low <= outcomes.low_asked);
        for (uint64_t n = 1; n <= N; n++) {
                const bool settled = n < 3 || n == 5;

                if (l.low == 3 && settled)
                        assert_int_equal(l.attempt[n], 0);
                else
                        assert_in_range(l.attempt[n], outcomes.promised[n], outcomes.asked[n]);
        }
        db = db_close(db);
}

static void begin(void)
{
        outcomes = (Outcomes){};
}

static void end(void)
{
        db = db_close(db);
}

static const Scenario scenario = {begin, run_dedup, end, check_dedup};

static void test_dedup_crashes(void **state)
{
        assert_in_range(crash_everywhere(&scenario), 60, 1000);
}

static void test_dedup_failures(void **state)
{
        fail_everywhere(&scenario);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_dedup_crashes),
                        cmocka_unit_test(test_dedup_failures),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
