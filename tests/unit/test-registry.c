/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake/worker.h"
#include "store/registry.h"
#include "store/sql.h"
#include "world/disk.h"

static Db *db;

static void open_registry(void)
{
        Error error = {};

        assert_int_equal(registry_open("/d.db", &db, &error), 0);
}

static int setup(void **state)
{
        fake_disk_reset();
        open_registry();
        return 0;
}

static int teardown(void **state)
{
        db = db_close(db);
        return 0;
}

static void on_done(DbOp *op, int result)
{
}

static int write_batch(RegistryBatch *b)
{
        b->op.done = on_done;
        db_submit(db, &b->op);
        db_kick(db);
        (void) fake_worker_run();
        db_dispatch(db);
        registry_batch_clear(b);
        return b->op.result;
}

static sd_id128_t id_of(uint64_t row)
{
        return (sd_id128_t){.bytes = {(uint8_t) row, 7}};
}

static int put(RegistryBatch *b, uint64_t row, const char *record)
{
        return registry_put(b, row, id_of(row), id_of(row + 100), record, strlen(record));
}

typedef struct Loaded {
        unsigned n;
        uint64_t rows[8];
        char records[8][32];
        int answer; /* of the callback */
} Loaded;

static int on_row(uint64_t row, sd_id128_t id, sd_id128_t token, const char *record, void *userdata)
{
        Loaded *l = userdata;

        assert_true(sd_id128_equal(id, id_of(row)) && sd_id128_equal(token, id_of(row + 100)));
        l->rows[l->n] = row;
        strcpy(l->records[l->n++], record);
        return l->answer;
}

/* As after a crash. */
static Loaded load(void)
{
        Loaded l = {};

        fake_disk_crash();
        db = db_close(db);
        fake_disk_power_on(FAKE_LOSE, 0);
        open_registry();
        assert_int_equal(registry_load(db, on_row, &l), 0);
        return l;
}

static void test_batches(void **state)
{
        RegistryBatch b;

        assert_int_equal(db_start(db), 0);
        registry_batch_init(&b);
        for (uint64_t row = 1; row <= 4; row++)
                assert_int_equal(put(&b, row, "{}"), 0);
        assert_int_equal(b.n, 4);
        assert_int_equal(write_batch(&b), 0);

        /* One is changed, one is removed; both in one batch. */
        registry_batch_init(&b);
        assert_int_equal(put(&b, 3, "{\"new\":1}"), 0);
        assert_int_equal(registry_remove(&b, 2), 0);
        assert_int_equal(registry_remove(&b, 77), 0); /* never there */
        assert_int_equal(write_batch(&b), 0);

        Loaded l = load();
        assert_int_equal(l.n, 3);
        assert_int_equal(l.rows[0], 1);
        assert_int_equal(l.rows[1], 3);
        assert_string_equal(l.records[1], "{\"new\":1}");
        assert_int_equal(l.rows[2], 4);
}

static void test_callback_ends_the_walk(void **state)
{
        Loaded l = {.answer = -ECANCELED};
        RegistryBatch b;

        assert_int_equal(db_start(db), 0);
        registry_batch_init(&b);
        assert_int_equal(put(&b, 1, "{}"), 0);
        assert_int_equal(put(&b, 2, "{}"), 0);
        assert_int_equal(write_batch(&b), 0);
        (void) load();
        assert_int_equal(registry_load(db, on_row, &l), -ECANCELED);
        assert_int_equal(l.n, 1);
}

static void test_failing_commit(void **state)
{
        RegistryBatch b;

        assert_int_equal(db_start(db), 0);
        registry_batch_init(&b);
        assert_int_equal(put(&b, 1, "{}"), 0);
        fake_disk_fail(1, ENOSPC, true);
        assert_int_equal(write_batch(&b), -ENOSPC);
        fake_disk_fail(0, 0, false);
        registry_batch_init(&b);
        assert_int_equal(put(&b, 2, "{}"), 0);
        assert_int_equal(write_batch(&b), 0);
        Loaded l = load();
        assert_int_equal(l.n, 1);
        assert_int_equal(l.rows[0], 2);
}

/* The first version had no row numbers. A row that is damaged is passed over. */
static void test_first_version(void **state)
{
        static const char *const first[] = {
                        "CREATE TABLE lease (id BLOB PRIMARY KEY, token BLOB NOT NULL, record TEXT NOT NULL)"
                        " WITHOUT ROWID;"
                        "INSERT INTO lease VALUES (x'01', x'02', 'damaged'),"
                        " (x'02070000000000000000000000000000', x'66070000000000000000000000000000', '{}')",
                        NULL,
        };
        Loaded l = {};
        Error error = {};
        sqlite3 *sql;

        db = db_close(db);
        fake_disk_reset();
        assert_int_equal(sql_open("/d.db", first, NULL, &sql, &(Damage){}, &error), 0);
        sql_close(sql);
        open_registry();
        assert_int_equal(registry_load(db, on_row, &l), 0);
        assert_int_equal(l.n, 1);
        assert_int_equal(l.rows[0], 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_batches, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_callback_ends_the_walk, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_failing_commit, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_first_version, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
