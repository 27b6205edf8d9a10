/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SQLite's own log of which no note says how far it was synced: what a loss of power tore is told from
 * damage. */

#include <endian.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/macro.h"
#include "store/page-sums.h"
#include "store/wal.h"

#define HEADER       32u
#define FRAME_HEADER 24u
#define FRAME        (FRAME_HEADER + PAGE_SIZE)
#define LOG_MAX      ((size_t) 4 << 20)

static char directory[] = "/tmp/test-wal-XXXXXX", database[64], logfile[80];
static uint8_t whole[LOG_MAX]; /* the log as SQLite has written it: two commits */
static size_t size;

static int make_log(void **state)
{
        static const char script[] =
                        "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;"
                        "CREATE TABLE t (data BLOB); BEGIN;"
                        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)"
                        " INSERT INTO t SELECT randomblob(3500) FROM n; COMMIT;"
                        "UPDATE t SET data = randomblob(3500) WHERE rowid < 5";
        sqlite3 *sql;

        if (!mkdtemp(directory))
                return -1;
        (void) snprintf(database, sizeof database, "%s/db", directory);
        (void) snprintf(logfile, sizeof logfile, "%s-wal", database);
        assert_int_equal(sqlite3_open(database, &sql), SQLITE_OK);
        assert_int_equal(sqlite3_exec(sql, script, NULL, NULL, NULL), SQLITE_OK);
        int fd = open(logfile, O_RDONLY | O_CLOEXEC);
        ssize_t n = read(fd, whole, sizeof whole);
        (void) close(fd);
        size = n > 0 ? (size_t) n : 0;
        return sqlite3_close(sql) == SQLITE_OK && size > 200 * FRAME && size < LOG_MAX ? 0 : -1;
}

static int remove_all(void **state)
{
        static const char *const suffixes[] = {"", "-wal", ".sums"};
        char path[96];

        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                (void) snprintf(path, sizeof path, "%s%s", database, suffixes[i]);
                (void) unlink(path);
        }
        return rmdir(directory);
}

static WalLook look_at(const uint8_t *log, size_t n)
{
        WalLook look;
        int fd = open(logfile, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_int_equal(write(fd, log, n), (ssize_t) n);
        (void) close(fd);
        assert_int_equal(wal_look(database, logfile, &look), 0);
        assert_true(look.exists);
        return look;
}

static uint8_t *frame(uint8_t *log, unsigned number)
{
        return log + HEADER + number * FRAME;
}

static void test_whole(void **state)
{
        assert_int_equal(look_at(whole, size).verdict, WAL_WHOLE);
}

/* A sector was not written, and shows the end of a commit of an older log. The sector behind it, with the
 * checksum of the frame, was, and so were the next frames. The end of the commit was not. */
static void test_torn_header(void **state)
{
        static const struct {
                unsigned frame;
                size_t n; /* bytes of its header in the older sector */
        } cases[] = {{62, 16}, {126, 16}, {41, 8}, {105, 8}};
        static uint8_t log[LOG_MAX];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                memcpy(log, whole, size);
                uint8_t *at = frame(log, cases[i].frame);
                assert_int_equal(((size_t) (at - log) + cases[i].n) % 512, 0);
                const uint32_t older[4] = {htobe32(15), htobe32(16), 1, 2};
                memcpy(at, older, cases[i].n);
                assert_int_equal(look_at(log, HEADER + (cases[i].frame + 3) * FRAME).verdict, WAL_WHOLE);
        }
}

/* The commit was synced, since more was written behind it. */
static void test_damaged_commit(void **state)
{
        static uint8_t log[LOG_MAX];
        const uint32_t no_commit = 0;
        unsigned n = 1, last = 0;

        for (; HEADER + (n + 1) * FRAME < size; n++)
                if (memcmp(frame(whole, n) + 4, &no_commit, sizeof no_commit) != 0)
                        last = n;
        memcpy(log, whole, size);
        frame(log, last)[FRAME_HEADER + 1000] ^= 1;
        WalLook look = look_at(log, size);
        assert_int_equal(look.verdict, WAL_HOPELESS);
        assert_int_equal(look.lost, FRAME);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_whole),
                        cmocka_unit_test(test_torn_header),
                        cmocka_unit_test(test_damaged_commit),
        };

        return cmocka_run_group_tests_name("wal", tests, make_log, remove_all);
}
