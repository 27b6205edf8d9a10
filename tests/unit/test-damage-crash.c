/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The power goes at each step of what follows damage: of the start that finds it, and of the salvage of an
 * outbox. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake/worker.h"
#include "store/outbox-salvage.h"
#include "store/outbox.h"
#include "world/disk.h"

#define N     6u /* messages */
#define BLOCK 512u

static Db *db;
static unsigned n_open, n_duplicates;

static void on_done(DbOp *op, int result)
{
}

static void run(DbOp *op)
{
        op->done = on_done;
        db_submit(db, op);
        db_kick(db);
        while (fake_worker_run())
                ;
        db_dispatch(db);
}

static void on_client(sd_id128_t id, uint64_t number, uint64_t open, uint64_t dead, void *userdata)
{
        n_open = (unsigned) open;
}

static int on_bound(OutboxRecord *record, void *userdata)
{
        n_duplicates += record->duplicate;
        return 0;
}

static int on_queued(const char *queue, uint64_t n, void *userdata)
{
        return 0;
}

static int on_whole(OutboxRecord *r, unsigned n_acked, unsigned n_failed, unsigned n, void *userdata)
{
        return 0;
}

static int on_stream(sd_id128_t id, sd_id128_t to, void *userdata)
{
        return 0;
}

static int on_receiver(sd_id128_t id, const char *record, bool departed, void *userdata)
{
        return 0;
}

static int open_outbox(void)
{
        const OutboxLoad load = {on_client, on_bound, on_queued, on_whole, on_stream, on_receiver, NULL};
        Error error = {};
        int r;

        n_open = n_duplicates = 0;
        r = outbox_open("/db", &db, &error);
        return r < 0 ? r : outbox_load(db, &load);
}

/* N messages, one in each block. */
static void fill(void)
{
        fake_disk_reset();
        assert_int_equal(open_outbox(), 0);
        assert_int_equal(db_start(db), 0);
        for (unsigned i = 1; i <= N; i++) {
                OutboxInsertOp o;

                outbox_insert_op_init(&o);
                o.record = (OutboxRecord){
                                .number = i,
                                .id = {.bytes = {1, (uint8_t) i}},
                                .target = (char *) "",
                                .queue = (char *) "any//",
                                .state = DELIVERY_BOUND,
                                .receiver = {.bytes = {2}},
                                .stream = {.bytes = {3}},
                                .sequence = i,
                                .size = 5,
                };
                o.payload = "hello";
                run(&o.op);
                assert_int_equal(o.op.result, 0);
        }
}

static void power_fails(FakeLoss loss, uint64_t seed)
{
        fake_disk_crash();
        db = db_close(db);
        fake_disk_power_on(loss, seed);
}

static void flip(const char *path, size_t at)
{
        size_t size;
        uint8_t *content = fake_disk_content(path, &size);

        assert_non_null(content);
        assert_in_range(at, 0, size - 1);
        content[at] ^= 1;
}

/* Past the first ones most steps are pages of one transaction. */
static unsigned next(unsigned n)
{
        return n < 100 ? n + 1 : n + 3;
}

/* A block of the redo log is damaged. All that is open may have been done: also if the first start that
 * finds it ends early. */
static void test_flags_of_a_start_that_found_damage(void **state)
{
        for (unsigned loss = 0; loss < _FAKE_LOSS_MAX; loss++)
                for (unsigned n = 1;; n = next(n)) {
                        fill();
                        power_fails(FAKE_KEEP, 0);
                        flip("/db.redo", 2 * BLOCK + 100);
                        fake_disk_crash_at(n);
                        (void) open_outbox();
                        const bool ended = fake_disk_is_crashed();
                        power_fails((FakeLoss) loss, n);
                        assert_int_equal(open_outbox(), 0);
                        assert_int_equal(n_open, N - 1);
                        if (n_duplicates != n_open)
                                fail_msg("loss %u, step %u: %u of %u", loss, n, n_duplicates, n_open);
                        db = db_close(db);
                        if (!ended)
                                break;
                }
}

static size_t page_of(const char *table)
{
        sqlite3_stmt *s = NULL;
        size_t page = 0;

        assert_int_equal(open_outbox(), 0);
        if (sqlite3_prepare_v2(db_sql(db), "SELECT rootpage FROM sqlite_schema WHERE name = ?", -1, &s,
                            NULL) == SQLITE_OK &&
                        sqlite3_bind_text(s, 1, table, -1, SQLITE_STATIC) == SQLITE_OK &&
                        sqlite3_step(s) == SQLITE_ROW)
                page = (size_t) sqlite3_column_int(s, 0);
        (void) sqlite3_finalize(s);
        db = db_close(db);
        assert_true(page > 0);
        return page;
}

/* As if later blocks had been written over those. */
static void forget_log(void)
{
        size_t size;

        memset(fake_disk_content("/db.redo", &size), 0, 16 * BLOCK);
}

/* A page is damaged that nobody needs. Whenever the power goes, the outbox says that it is damaged, or it is
 * whole. */
static void test_salvage(void **state)
{
        for (unsigned loss = 0; loss < _FAKE_LOSS_MAX; loss++)
                for (unsigned n = 1;; n = next(n)) {
                        OutboxSalvage found;
                        Error error = {};

                        fill();
                        db = db_close(db);
                        forget_log();
                        flip("/db", page_of("receiver") * 4096 - 2);
                        fake_disk_crash_at(n);
                        (void) outbox_salvage("/db", &found, &error);
                        const bool ended = fake_disk_is_crashed();
                        power_fails((FakeLoss) loss, n);
                        int r = open_outbox();
                        if (r == -EUCLEAN) {
                                db = db_close(db);
                                assert_int_equal(outbox_salvage("/db", &found, &error), 0);
                                assert_int_equal(found.n_messages, N);
                                r = open_outbox();
                        }
                        if (r < 0 || n_open != N)
                                fail_msg("loss %u, step %u: %d, %u of %u", loss, n, r, n_open, N);
                        if (n_duplicates != N)
                                fail_msg("loss %u, step %u: %u duplicates", loss, n, n_duplicates);
                        db = db_close(db);
                        if (!ended)
                                break;
                }
}

/* What a salvage reports as done, is done. */
static void test_salvage_on_a_bad_disk(void **state)
{
        for (unsigned n = 1;; n = next(n)) {
                OutboxSalvage found;
                Error error = {};

                fill();
                db = db_close(db);
                forget_log();
                flip("/db", page_of("receiver") * 4096 - 2);
                const unsigned before = fake_disk_operations();
                fake_disk_fail(n, n & 2 ? ENOSPC : EIO, n & 1);
                int r = outbox_salvage("/db", &found, &error);
                const bool failed = fake_disk_operations() - before >= n;
                fake_disk_fail(0, 0, false);
                if (r < 0) {
                        assert_true(error.text[0] != '\0');
                        assert_int_equal(outbox_salvage("/db", &found, &error), 0);
                }
                r = open_outbox();
                if (r < 0 || n_open != N || n_duplicates != N)
                        fail_msg("step %u: %d, %u of %u", n, r, n_open, N);
                db = db_close(db);
                if (!failed)
                        break;
        }
}

/* What the disk cannot read is damaged, and not a reason to try again every second. Returns how many
 * messages are left. */
static unsigned left_without(const char *path, size_t at, int expected)
{
        OutboxSalvage found;
        Error error = {};

        fake_disk_spoil(path, at);
        assert_int_equal(open_outbox(), expected);
        db = db_close(db);
        if (expected < 0) {
                assert_int_equal(outbox_salvage("/db", &found, &error), 0);
                assert_int_equal(open_outbox(), 0);
                assert_true(db_damage(db)->found);
                assert_int_equal(n_duplicates, n_open);
                db = db_close(db);
        }
        return n_open;
}

static void test_cannot_be_read(void **state)
{
        fill();
        power_fails(FAKE_KEEP, 0);
        assert_int_equal(left_without("/db.redo", 3 * BLOCK, -EUCLEAN), N - 1);
        fill();
        db = db_close(db);
        forget_log();
        assert_int_equal(left_without("/db", page_of("receiver") * 4096 - 2, -EUCLEAN), N);
        fill();
        power_fails(FAKE_KEEP, 0);
        size_t size;
        (void) fake_disk_content("/db-wal", &size);
        assert_int_equal(left_without("/db-wal", size - 1, -EUCLEAN), N);
        fill();
        db = db_close(db);
        assert_int_equal(left_without("/db.sums", 0, 0), N);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_flags_of_a_start_that_found_damage),
                        cmocka_unit_test(test_salvage),
                        cmocka_unit_test(test_cannot_be_read),
                        cmocka_unit_test(test_salvage_on_a_bad_disk),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
