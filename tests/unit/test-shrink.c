/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Space that cannot be given back is not tried again after every commit. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fake/worker.h"
#include "store/db.h"
#include "store/sql.h"
#include "world/disk.h"
#include "world/vfs.h"

#define PAGE 4096u

static Db *db;
static const char *text;

static void on_done(DbOp *op, int result)
{
}

static int run_text(DbOp *op, sqlite3 *sql)
{
        return sql_run_text(sql, text);
}

static void run(const char *what)
{
        DbOp op = {.run = run_text, .done = on_done};

        text = what;
        db_submit(db, &op);
        db_kick(db);
        while (fake_worker_run())
                ;
        db_dispatch(db);
        assert_int_equal(op.result, 0);
}

static void start(void)
{
        static const char *const migrations[] = {"CREATE TABLE t (n INTEGER PRIMARY KEY, data BLOB)", NULL};
        Error error = {};

        assert_int_equal(db_open("/db", migrations, 0, NULL, &db, &error), 0);
        assert_int_equal(db_start(db), 0);
}

static size_t word(const uint8_t *at)
{
        return (size_t) at[0] << 24 | (size_t) at[1] << 16 | (size_t) at[2] << 8 | at[3];
}

/* An unused one near the front: it is read when the file is written anew, and otherwise never. */
static void damage_unused_page(void)
{
        size_t size, lowest = SIZE_MAX;
        uint8_t *content = fake_disk_content("/db", &size),
                *list = content + (word(content + 32) - 1) * PAGE;

        for (size_t i = 0; i < word(list + 4); i++)
                lowest = MIN(lowest, word(list + 8 + 4 * i));
        assert_in_range(lowest, 2, 100);
        content[lowest * PAGE - 2] ^= 1;
}

static unsigned count_reads(const char *what)
{
        const unsigned before = fake_vfs_reads();

        run(what);
        return fake_vfs_reads() - before;
}

static void test_gives_up(void **state)
{
        size_t size, after;

        fake_disk_reset();
        start();
        run("WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 1000)"
            " INSERT INTO t SELECT x, zeroblob(3500) FROM c");
        run("DELETE FROM t WHERE n <= 600");
        db = db_close(db);
        damage_unused_page();
        start();
        run("DELETE FROM t WHERE n <= 900");
        (void) fake_disk_content("/db", &size);
        const unsigned first = count_reads("UPDATE t SET data = 'a' WHERE n = 950"),
                       later = count_reads("UPDATE t SET data = 'b' WHERE n = 950");
        assert_in_range(first, 0, 10);
        assert_in_range(later, 0, 10);
        (void) fake_disk_content("/db", &after);
        assert_int_equal(after, size);
        db = db_close(db);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_gives_up),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
