/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checksums of pages that cannot be kept, or that belong to pages of the past, are not taken for damage. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/checked-vfs.h"
#include "store/page-sums.h"
#include "store/sql.h"
#include "world/disk.h"

static sqlite3 *sql;
static Error error;

static int open_database(void)
{
        static const char *const migrations[] = {"CREATE TABLE t (n INTEGER PRIMARY KEY, data BLOB)", NULL};

        error = (Error){};
        return sql_open("/db", migrations, NULL, &sql, &(Damage){}, &error);
}

static void run(const char *text)
{
        assert_int_equal(sqlite3_exec(sql, text, NULL, NULL, NULL), SQLITE_OK);
}

static void add_rows(void)
{
        for (unsigned i = 0; i < 50; i++)
                run("INSERT INTO t (data) VALUES (randomblob(3000))");
}

static void close_database(void)
{
        sql_close(sql);
        sql = NULL;
}

static int setup(void **state)
{
        fake_disk_reset();
        assert_int_equal(open_database(), 0);
        add_rows();
        close_database();
        return 0;
}

static void check(void)
{
        const int r = open_database();

        if (r < 0)
                fail_msg("%d: %s", r, error.text);
        run("SELECT sum(length(data)) FROM t");
        close_database();
}

/* No descriptor is left, for example. */
static void test_cannot_be_opened(void **state)
{
        fake_disk_refuse("/db.sums");
        const int r = open_database();
        if (r >= 0)
                add_rows();
        else
                assert_non_null(strstr(error.text, "/db.sums"));
        close_database();
        fake_disk_refuse(NULL);
        check();
}

/* The tables are written; then SQLite's log begins anew, with fewer pages. */
static void test_cannot_be_written(void **state)
{
        static const char all[] = "UPDATE t SET data = randomblob(3000); PRAGMA wal_checkpoint",
                          one[] = "UPDATE t SET data = randomblob(2999) WHERE n = 1; PRAGMA wal_checkpoint";

        for (unsigned n = 1; n < 60; n++)
                for (unsigned loss = 0; loss < _FAKE_LOSS_MAX; loss++) {
                        (void) setup(state);
                        assert_int_equal(open_database(), 0);
                        fake_disk_fail_notes(n);
                        for (unsigned i = 0; i < 5; i++)
                                (void) sqlite3_exec(sql, i == 0 ? all : one, NULL, NULL, NULL);
                        fake_disk_crash();
                        close_database();
                        fake_disk_power_on((FakeLoss) loss, n);
                        fake_disk_fail_notes(0);
                        check();
                }
}

/* The same, but the database is closed in order: SQLite's log is removed. */
static void test_cannot_be_written_at_the_end(void **state)
{
        for (unsigned n = 1; n < 60; n++) {
                (void) setup(state);
                assert_int_equal(open_database(), 0);
                fake_disk_fail_notes(n);
                (void) sqlite3_exec(sql, "UPDATE t SET data = randomblob(3000)", NULL, NULL, NULL);
                close_database();
                fake_disk_fail_notes(0);
                check();
        }
}

/* What was noted of SQLite's log is lost, and the log goes on. */
static void test_note_is_lost(void **state)
{
        for (unsigned loss = 0; loss < _FAKE_LOSS_MAX; loss++) {
                fake_disk_reset();
                assert_int_equal(open_database(), 0);
                run("INSERT INTO t (data) VALUES (1)");
                fake_disk_crash();
                close_database();
                fake_disk_power_on((FakeLoss) loss, loss);
                fake_disk_fill_up(true);
                assert_int_equal(open_database(), 0);
                fake_disk_fill_up(false);
                run("INSERT INTO t (data) VALUES (2)");
                close_database();
                check();
        }
}

/* A file that shrank and grew has pages that nobody has written. */
static void test_shrinks_and_grows(void **state)
{
        static uint8_t page[PAGE_SIZE];
        sqlite3_file *f = NULL;

        assert_int_equal(open_database(), 0);
        assert_int_equal(sqlite3_file_control(sql, "main", SQLITE_FCNTL_FILE_POINTER, &f), SQLITE_OK);
        assert_int_equal(f->pMethods->xRead(f, page, PAGE_SIZE, 20 * PAGE_SIZE), SQLITE_OK);
        assert_int_equal(f->pMethods->xTruncate(f, 20 * PAGE_SIZE), SQLITE_OK);
        assert_int_equal(f->pMethods->xTruncate(f, 22 * PAGE_SIZE), SQLITE_OK);
        assert_int_equal(f->pMethods->xRead(f, page, PAGE_SIZE, 20 * PAGE_SIZE), SQLITE_OK);
        /* What is still there is checked as before. */
        size_t size;
        fake_disk_content("/db", &size)[19 * PAGE_SIZE + 100] ^= 1;
        assert_int_equal(f->pMethods->xRead(f, page, PAGE_SIZE, 19 * PAGE_SIZE), SQLITE_IOERR_DATA);
        close_database();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup(test_cannot_be_opened, setup),
                        cmocka_unit_test_setup(test_cannot_be_written, setup),
                        cmocka_unit_test(test_cannot_be_written_at_the_end),
                        cmocka_unit_test(test_note_is_lost),
                        cmocka_unit_test_setup(test_shrinks_and_grows, setup),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
