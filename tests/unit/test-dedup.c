/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/time-util.h"
#include "crash.h"
#include "store/dedup.h"

static const sd_id128_t a = {.bytes = {1}}, b = {.bytes = {2}}, message = {.bytes = {7}},
                        other = {.bytes = {8}};

typedef struct Fixture {
        char directory[64];
        char path[96];
        Db *db;
        int result; /* of the last operation */
} Fixture;

static Fixture *fixture;

static void open_again(Fixture *f)
{
        Error error = {};

        if (f->db)
                f->db = crash(f->directory, f->db);
        assert_int_equal(dedup_open(f->path, 0, &f->db, &error), 0);
}

static int setup(void **state)
{
        Fixture *f = calloc(1, sizeof *f);

        (void) snprintf(f->directory, sizeof f->directory, "/tmp/test-dedup-XXXXXX");
        if (!mkdtemp(f->directory))
                return -1;
        (void) snprintf(f->path, sizeof f->path, "%s/db", f->directory);
        open_again(f);
        *state = fixture = f;
        return 0;
}

static int teardown(void **state)
{
        Fixture *f = *state;
        char command[96];

        db_close(f->db);
        (void) snprintf(command, sizeof command, "rm -rf %s", f->directory);
        free(f);
        return system(command);
}

static void on_done(DbOp *op, int result)
{
        fixture->result = result;
}

/* Runs one operation to its end, in a started database. */
static int run(DbOp *op)
{
        op->done = on_done;
        db_submit(fixture->db, op);
        db_kick(fixture->db);
        for (int i = 0; i < 100 && db_pending(fixture->db) > 0; i++) {
                struct pollfd p = {.fd = db_fd(fixture->db), .events = POLLIN};
                (void) poll(&p, 1, 100);
                db_dispatch(fixture->db);
        }
        assert_int_equal(db_pending(fixture->db), 0);
        return fixture->result;
}

static int record(sd_id128_t stream, uint64_t sequence, sd_id128_t id, uint32_t attempt, Outcome outcome,
                const char *reply)
{
        DedupRecordOp o;

        dedup_record_op_init(&o);
        o.record = (DedupRecord){stream, sequence, id, attempt, outcome};
        o.reply = reply;
        o.reply_size = strlen(reply);
        return run(&o.op);
}

static void assert_cut(sd_id128_t stream, uint64_t sequence, bool expected)
{
        DedupReplyOp o;

        dedup_reply_op_init(&o);
        o.stream = stream;
        o.sequence = sequence;
        assert_int_equal(run(&o.op), 0);
        assert_int_equal(o.cut, expected);
        free(o.reply);
}

static void assert_reply(sd_id128_t stream, uint64_t sequence, const char *expected)
{
        DedupReplyOp o;

        dedup_reply_op_init(&o);
        o.stream = stream;
        o.sequence = sequence;
        assert_int_equal(run(&o.op), expected ? 0 : -ENOENT);
        if (expected) {
                assert_int_equal(o.reply_size, strlen(expected));
                assert_memory_equal(o.reply, expected, o.reply_size);
        }
        free(o.reply);
}

typedef struct Loaded {
        unsigned n_records, n_streams;
        DedupRecord last;
        uint64_t low;
        size_t n_ranges;
} Loaded;

static int on_settled(sd_id128_t stream, const SequenceSet *set, void *userdata)
{
        Loaded *l = userdata;

        l->n_streams++;
        l->low = set->low;
        l->n_ranges = set->n_ranges;
        return 0;
}

static int on_record(const DedupRecord *r, void *userdata)
{
        Loaded *l = userdata;

        l->n_records++;
        l->last = *r;
        return 0;
}

static Loaded load(void)
{
        Loaded l = {};

        assert_int_equal(dedup_load(fixture->db, &(DedupLoad){.settled = on_settled,
                                                                 .record = on_record,
                                                                 .userdata = &l}),
                        0);
        return l;
}

static void test_outcomes(void **state)
{
        Fixture *f = *state;

        assert_int_equal(db_start(f->db), 0);
        assert_int_equal(record(a, 1, message, 1, OUTCOME_FAILED, "exit 1"), 0);
        assert_reply(a, 1, "exit 1");
        /* The same attempt again changes nothing; a higher one does; another message never. */
        assert_int_equal(record(a, 1, message, 1, OUTCOME_ACKED, "late"), 0);
        assert_int_equal(record(a, 1, other, 2, OUTCOME_ACKED, "stolen"), 0);
        assert_reply(a, 1, "exit 1");
        assert_int_equal(record(a, 1, message, 2, OUTCOME_ACKED, "done"), 0);
        assert_reply(a, 1, "done");
        /* Final is final. */
        assert_int_equal(record(a, 1, message, 3, OUTCOME_FAILED, "no"), 0);
        assert_int_equal(record(a, 1, message, 4, OUTCOME_ACKED, "no"), 0);
        assert_reply(a, 1, "done");
        assert_int_equal(record(b, 1, other, 1, OUTCOME_ACKED, ""), 0);
        assert_reply(b, 1, "");
        assert_reply(b, 2, NULL);

        open_again(f);
        Loaded l = load();
        assert_int_equal(l.n_records, 2);
        assert_true(sd_id128_equal(l.last.stream, b) && sd_id128_equal(l.last.message, other));
        assert_int_equal(l.last.outcome, OUTCOME_ACKED);
}

static void record_cut(sd_id128_t stream, uint64_t sequence, uint32_t attempt)
{
        DedupRecordOp o;

        dedup_record_op_init(&o);
        o.record = (DedupRecord){stream, sequence, message, attempt, OUTCOME_ACKED, .cut = true};
        assert_int_equal(run(&o.op), 0);
}

/* In the log, and in the tables. */
static void test_cut_reply(void **state)
{
        Fixture *f = *state;

        assert_int_equal(db_start(f->db), 0);
        assert_int_equal(record(a, 1, message, 1, OUTCOME_FAILED, "exit 1"), 0);
        assert_cut(a, 1, false); /* a look into the tables empties the log into them */
        record_cut(a, 1, 2);
        record_cut(a, 2, 1);
        assert_int_equal(record(a, 3, message, 1, OUTCOME_ACKED, "whole"), 0);
        for (int i = 0; i < 2; i++) {
                open_again(f);
                assert_int_equal(load().n_records, 3);
                assert_int_equal(db_start(f->db), 0);
                assert_cut(a, 1, true);
                assert_cut(a, 2, true);
                assert_cut(a, 3, false);
        }
}

/* What the first version wrote. */
static const char first_version[] =
                "CREATE TABLE identity (one INTEGER PRIMARY KEY CHECK (one = 1), id BLOB NOT NULL, instance "
                "BLOB NOT NULL, boot BLOB NOT NULL, lock_device INTEGER NOT NULL, lock_inode INTEGER NOT "
                "NULL, "
                "token TEXT NOT NULL) WITHOUT ROWID;"
                "CREATE TABLE stream (stream BLOB PRIMARY KEY, low INTEGER NOT NULL, ranges BLOB NOT NULL)"
                " WITHOUT ROWID;"
                "CREATE TABLE outcome (stream BLOB NOT NULL, sequence INTEGER NOT NULL, message BLOB NOT "
                "NULL,"
                " attempt INTEGER NOT NULL, outcome INTEGER NOT NULL, reply BLOB NOT NULL,"
                " PRIMARY KEY (stream, sequence)) WITHOUT ROWID;"
                "INSERT INTO outcome VALUES (x'0a000000000000000000000000000000', 1,"
                " x'01000000000000000000000000000000', 1, 1, 'done');"
                "PRAGMA user_version = 1";

static void test_first_version_is_taken_over(void **state)
{
        Fixture *f = *state;
        Error error = {};
        sqlite3 *sql;
        char sums[128];

        f->db = db_close(f->db);
        (void) unlink(f->path);
        (void) snprintf(sums, sizeof sums, "%s.sums", f->path);
        (void) unlink(sums);
        assert_int_equal(sqlite3_open(f->path, &sql), SQLITE_OK);
        assert_int_equal(sqlite3_exec(sql, first_version, NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(sql), SQLITE_OK);
        assert_int_equal(dedup_open(f->path, 0, &f->db, &error), 0);
        assert_int_equal(db_start(f->db), 0);
        assert_reply((sd_id128_t){.bytes = {0x0a}}, 1, "done");
        assert_cut((sd_id128_t){.bytes = {0x0a}}, 1, false);
}

static void test_prune(void **state)
{
        Fixture *f = *state;
        SequenceSet set;
        DedupPruneOp prune;
        DedupForgetOp forget;

        assert_int_equal(db_start(f->db), 0);
        for (uint64_t i = 1; i <= 20; i++) {
                assert_int_equal(record(a, i, message, 1, OUTCOME_ACKED, "x"), 0);
                assert_int_equal(record(b, i, message, 1, OUTCOME_ACKED, "y"), 0);
        }
        sequence_set_init(&set);
        assert_int_equal(sequence_set_add_below(&set, 5), 0);
        assert_int_equal(sequence_set_add(&set, 8, 10), 0);
        assert_int_equal(sequence_set_add(&set, 15, 15), 0);
        dedup_prune_op_init(&prune);
        prune.stream = a;
        prune.settled = &set;
        assert_int_equal(run(&prune.op), 0);

        assert_reply(a, 4, NULL);
        assert_reply(a, 5, "x");
        assert_reply(a, 9, NULL);
        assert_reply(a, 11, "x");
        assert_reply(b, 4, "y");

        open_again(f);
        Loaded l = load();
        assert_int_equal(l.n_records, 20 - 4 - 3 - 1 + 20);
        assert_int_equal(l.n_streams, 1);
        assert_int_equal(l.low, 5);
        assert_int_equal(l.n_ranges, 2);

        assert_int_equal(db_start(f->db), 0);
        dedup_forget_op_init(&forget);
        forget.stream = a;
        assert_int_equal(run(&forget.op), 0);
        open_again(f);
        l = load();
        assert_int_equal(l.n_records, 20);
        assert_int_equal(l.n_streams, 0);
        sequence_set_clear(&set);
}

static void test_identity(void **state)
{
        Fixture *f = *state;
        DedupIdentity identity;
        DedupIdentityOp o;

        assert_int_equal(dedup_load_identity(f->db, &identity), -ENOENT);
        assert_int_equal(db_start(f->db), 0);
        for (unsigned round = 0; round < 2; round++) {
                dedup_identity_op_init(&o);
                o.identity = (DedupIdentity){.id = a, .instance = b, .lock_inode = UINT64_MAX - round};
                (void) snprintf(o.identity.token, sizeof o.identity.token, "secret%u", round);
                assert_int_equal(run(&o.op), 0);
        }
        open_again(f);
        assert_int_equal(dedup_load_identity(f->db, &identity), 0);
        assert_true(sd_id128_equal(identity.id, a) && sd_id128_equal(identity.instance, b));
        assert_true(identity.lock_inode == UINT64_MAX - 1);
        assert_string_equal(identity.token, "secret1");
}

static void test_reset(void **state)
{
        Fixture *f = *state;
        DedupIdentityOp identity;
        DedupIdentity loaded;
        DedupResetOp reset;

        assert_int_equal(db_start(f->db), 0);
        dedup_identity_op_init(&identity);
        assert_int_equal(run(&identity.op), 0);
        assert_int_equal(record(a, 1, message, 1, OUTCOME_ACKED, ""), 0);
        dedup_reset_op_init(&reset);
        assert_int_equal(run(&reset.op), 0);
        open_again(f);
        assert_int_equal(dedup_load_identity(f->db, &loaded), -ENOENT);
        assert_int_equal(load().n_records, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_outcomes, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_cut_reply, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_first_version_is_taken_over, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_prune, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
