/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/time-util.h"
#include "store/db.h"
#include "store/sql.h"

static const char *const schema[] = {"CREATE TABLE t (a INTEGER PRIMARY KEY)", NULL};
static const char *const newer_schema[] = {
                "CREATE TABLE t (a INTEGER PRIMARY KEY)", "ALTER TABLE t ADD COLUMN b TEXT", NULL};

typedef struct Fixture {
        char directory[64];
        char path[96];
} Fixture;

typedef struct Insert {
        DbOp op;
        int value;
        int result;
        unsigned order;
} Insert;

static unsigned n_done;

static int insert_run(DbOp *op, sqlite3 *sql)
{
        Insert *i = CONTAINER_OF(op, Insert, op);
        sqlite3_stmt *s = sql_statement(sql, "INSERT INTO t (a) VALUES (?)");

        if (!s)
                return -EIO;
        (void) sqlite3_bind_int(s, 1, abs(i->value));
        int r = sql_run(s);
        return r < 0 ? r : i->value < 0 ? -ECANCELED : 0;
}

static void insert_done(DbOp *op, int result)
{
        Insert *i = CONTAINER_OF(op, Insert, op);

        i->result = result;
        i->order = n_done++;
}

static void submit(Db *db, Insert *i, int value)
{
        *i = (Insert){.op = {.run = insert_run, .done = insert_done}, .value = value};
        db_submit(db, &i->op);
        db_kick(db);
}

static void settle(Db *db)
{
        for (int round = 0; db_pending(db) > 0 && round < 1000; round++) {
                struct pollfd p = {.fd = db_fd(db), .events = POLLIN};
                (void) poll(&p, 1, 100);
                db_dispatch(db);
        }
        assert_int_equal(db_pending(db), 0);
}

static int count(const char *path)
{
        sqlite3 *sql;
        sqlite3_stmt *s;

        assert_int_equal(sqlite3_open(path, &sql), SQLITE_OK);
        assert_int_equal(sqlite3_prepare_v2(sql, "SELECT count(*) FROM t", -1, &s, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(s), SQLITE_ROW);
        int n = sqlite3_column_int(s, 0);
        (void) sqlite3_finalize(s);
        (void) sqlite3_close(sql);
        return n;
}

static int setup(void **state)
{
        Fixture *f = calloc(1, sizeof *f);

        (void) snprintf(f->directory, sizeof f->directory, "/tmp/test-db-XXXXXX");
        if (!mkdtemp(f->directory))
                return -1;
        (void) snprintf(f->path, sizeof f->path, "%s/db", f->directory);
        n_done = 0;
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        static const char *const suffixes[] = {"", "-wal", "-shm", ".lock"};
        Fixture *f = *state;
        char name[128];

        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                (void) snprintf(name, sizeof name, "%s%s", f->path, suffixes[i]);
                (void) unlink(name);
        }
        int r = rmdir(f->directory);
        free(f);
        return r;
}

static Db *open_db(const Fixture *f, const char *const *migrations)
{
        Db *db = NULL;
        Error error = {};

        assert_int_equal(db_open(f->path, migrations, 0, NULL, &db, &error), 0);
        assert_int_equal(db_start(db), 0);
        return db;
}

static void test_order_and_isolation(void **state)
{
        enum { N = 3000 };
        Insert *inserts = calloc(N, sizeof *inserts);
        Db *db = open_db(*state, schema);

        /* Every seventh fails after having written: only that one may be undone. */
        for (int i = 0; i < N; i++)
                submit(db, inserts + i, i % 7 == 3 ? -(i + 1) : i + 1);
        settle(db);
        for (unsigned i = 0; i < N; i++) {
                assert_int_equal(inserts[i].order, i);
                assert_int_equal(inserts[i].result, i % 7 == 3 ? -ECANCELED : 0);
        }
        db_close(db);

        int failed = (N - 3 + 6) / 7;
        assert_int_equal(count(((Fixture *) *state)->path), N - failed);
        free(inserts);
}

static void test_constraint(void **state)
{
        Insert a, b, c;
        Db *db = open_db(*state, schema);

        submit(db, &a, 1);
        submit(db, &b, 1);
        submit(db, &c, 2);
        settle(db);
        assert_int_equal(a.result, 0);
        assert_int_equal(b.result, -EEXIST);
        assert_int_equal(c.result, 0);
        db_close(db);
}

static void test_close_finishes(void **state)
{
        Insert inserts[500];
        Db *db = open_db(*state, schema);

        for (int i = 0; i < 500; i++)
                submit(db, inserts + i, i + 1);
        db_close(db);
        for (int i = 0; i < 500; i++)
                assert_int_equal(inserts[i].result, 0);
        assert_int_equal(count(((Fixture *) *state)->path), 500);
}

static void test_lock_and_versions(void **state)
{
        Fixture *f = *state;
        Db *db = open_db(f, newer_schema), *second = NULL;
        Error error = {};

        assert_int_equal(db_open(f->path, newer_schema, 50 * USEC_PER_MSEC, NULL, &second, &error), -EBUSY);
        assert_null(second);
        db_close(db);

        /* A newer program wrote this: an older one must not touch it. */
        assert_int_equal(db_open(f->path, schema, 0, NULL, &second, &error), -EPROTO);
        db_close(open_db(f, newer_schema));
}

static void test_not_a_database(void **state)
{
        Fixture *f = *state;
        Db *db = NULL;
        Error error = {};
        FILE *file = fopen(f->path, "w");

        for (int i = 0; i < 100; i++)
                (void) fputs("this is no database at all\n", file);
        (void) fclose(file);
        assert_true(db_open(f->path, schema, 0, NULL, &db, &error) < 0);
        assert_null(db);
        assert_true(error.text[0] != '\0');
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_order_and_isolation, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_constraint, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_close_finishes, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_lock_and_versions, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_not_a_database, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
