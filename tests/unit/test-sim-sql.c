/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* SQLite on the disks of machines, as the store opens it. What was committed survives every kill and every
 * loss of power. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/time-util.h"
#include "store/sql.h"
#include "world/disk.h"
#include "world/memory.h"
#include "world/process.h"

#define N_PROCESSES 3u
#define ROW_SIZE    300

/* A process and what it was told. */
typedef struct Writer {
        Process *process;
        char path[32];
        int committed; /* rows 1 … so many are durable */
        int failures;
} Writer;

static Writer writers[N_PROCESSES];
static Machine *machine;
static int last_status;

static void on_end(Process *p, bool killed, int status, void *userdata)
{
        last_status = killed ? 1000 : status;
}

static int setup(void **state)
{
        world_begin();
        memory_begin();
        machine = machine_new("m0");
        for (unsigned i = 0; i < N_PROCESSES; i++) {
                char name[8];

                (void) snprintf(name, sizeof name, "p%u", i);
                writers[i] = (Writer){.process = process_new(machine, name)};
                (void) snprintf(writers[i].path, sizeof writers[i].path, "/m0/p%u/db", i);
        }
        process_on_end(on_end, NULL);
        disk_set_speed(machine, 1, 20, 100, 2000);
        return 0;
}

static int teardown(void **state)
{
        world_end();
        return 0;
}

static int number(sqlite3 *sql, const char *query)
{
        sqlite3_stmt *s = NULL;
        int n = -1;

        if (sqlite3_prepare_v2(sql, query, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
                n = sqlite3_column_int(s, 0);
        (void) sqlite3_finalize(s);
        return n;
}

static bool is_text(sqlite3 *sql, const char *query, const char *text)
{
        sqlite3_stmt *s = NULL;
        bool equal = false;

        if (sqlite3_prepare_v2(sql, query, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
                equal = strcmp((const char *) sqlite3_column_text(s, 0), text) == 0;
        (void) sqlite3_finalize(s);
        return equal;
}

static int insert(sqlite3 *sql, int n)
{
        sqlite3_stmt *s = sql_statement(sql, "INSERT INTO t VALUES (?, zeroblob(?))");

        if (!s)
                return -EIO;
        (void) sqlite3_bind_int(s, 1, n);
        (void) sqlite3_bind_int(s, 2, ROW_SIZE);
        return sql_run(s);
}

/* Opens the database, checks it, and commits rows until it is killed. */
static int write_rows(void *userdata)
{
        static const char *const migrations[] = {"CREATE TABLE t (n INTEGER PRIMARY KEY, data BLOB)", NULL};
        Writer *w = userdata;
        sqlite3 *sql = NULL;
        Error error = {};
        int n, r;

        r = sql_open(w->path, migrations, NULL, &sql, &(Damage){}, &error);
        if (r < 0)
                return r;
        assert_true(is_text(sql, "PRAGMA journal_mode", "wal"));
        assert_true(is_text(sql, "PRAGMA locking_mode", "exclusive"));
        assert_int_equal(number(sql, "PRAGMA synchronous"), 2);
        assert_true(is_text(sql, "PRAGMA integrity_check", "ok"));
        n = number(sql, "SELECT coalesce(max(n), 0) FROM t");
        assert_int_equal(number(sql, "SELECT count(*) FROM t"), n);
        /* The one that it was not told may be there too. */
        assert_in_range(n, w->committed, w->committed + 1);
        w->committed = n;
        while (n < 10000) {
                r = insert(sql, n + 1);
                if (r < 0 && ++w->failures > 0) {
                        sql_overwrite(sql); /* as the store does it */
                        thread_pause(USEC_PER_MSEC);
                        continue;
                }
                w->committed = ++n;
        }
        sql_close(sql);
        return 0;
}

static void start_all(void)
{
        for (unsigned i = 0; i < N_PROCESSES; i++)
                process_start(writers[i].process, write_rows, &writers[i]);
}

static void run_for(uint64_t usec)
{
        world_run(world_now() + usec, NULL, NULL);
}

static void test_kills(void **state)
{
        start_all();
        for (unsigned i = 0; i < 200; i++) {
                Writer *w = &writers[world_random(N_PROCESSES)];

                if (i % 2 == 0) {
                        run_for(world_random(50 * USEC_PER_MSEC));
                        process_kill(w->process);
                } else {
                        process_kill_at(w->process, 1 + (unsigned) world_random(100));
                        run_for(50 * USEC_PER_MSEC);
                }
                assert_true(process_is_up(w->process) || last_status == 1000);
                start_all();
        }
        for (unsigned i = 0; i < N_PROCESSES; i++)
                assert_true(writers[i].committed > 200);
}

static void test_power(void **state)
{
        for (unsigned i = 0; i < 80; i++) {
                start_all();
                run_for(world_random(100 * USEC_PER_MSEC));
                for (unsigned k = 0; k < N_PROCESSES; k++)
                        assert_true(process_is_up(writers[k].process));
                machine_power_off(machine, (FakeLoss) world_random(_FAKE_LOSS_MAX));
                machine_power_on(machine);
        }
        for (unsigned i = 0; i < N_PROCESSES; i++)
                assert_true(writers[i].committed > 200);
}

static void fail_at_random(void)
{
        const DiskCall call = (DiskCall) world_random(_DISK_CALL_MAX);
        const unsigned n = 1 + (unsigned) world_random(100);

        disk_fail(machine, call, n, world_random(2) > 0);
}

/* Writes and syncs fail, one or many; the disk is full for a while; then the power goes. */
static void test_failures(void **state)
{
        unsigned n_failures = 0;

        for (unsigned i = 0; i < 80; i++) {
                start_all();
                fail_at_random();
                run_for(world_random(50 * USEC_PER_MSEC));
                disk_fail(machine, DISK_WRITE, 0, false);
                disk_fail(machine, DISK_SYNC, 0, false);
                disk_set_full(machine, i % 3 == 0);
                run_for(world_random(30 * USEC_PER_MSEC));
                disk_set_full(machine, false);
                run_for(world_random(30 * USEC_PER_MSEC));
                machine_power_off(machine, FAKE_TEAR);
                machine_power_on(machine);
        }
        for (unsigned i = 0; i < N_PROCESSES; i++) {
                assert_true(writers[i].committed > 200);
                n_failures += (unsigned) writers[i].failures;
        }
        assert_true(n_failures > 100);
}

/* A start finds what a killed process has not synced, and its sync fails: what was not synced may be gone at
 * once. */
static void test_failures_at_start(void **state)
{
        for (unsigned i = 0; i < 300; i++) {
                Writer *w = &writers[i % N_PROCESSES];

                if (i % 30 < N_PROCESSES) {
                        disk_remove_all("/m0");
                        for (unsigned k = 0; k < N_PROCESSES; k++)
                                writers[k].committed = 0;
                }
                process_start(w->process, write_rows, w);
                process_kill_at(w->process, 1 + (unsigned) world_random(60));
                run_for(50 * USEC_PER_MSEC);
                disk_fail(machine, DISK_SYNC, 1 + (unsigned) world_random(3), false);
                process_start(w->process, write_rows, w);
                run_for(10 * USEC_PER_MSEC);
                disk_fail(machine, DISK_SYNC, 0, false);
                process_start(w->process, write_rows, w);
                run_for(world_random(20 * USEC_PER_MSEC));
                assert_true(process_is_up(w->process));
                process_kill(w->process);
        }
}

static int seen;
static bool opened;

/* Opens the database, looks, and ends as if it was killed. */
static int look(void *userdata)
{
        static const char *const migrations[] = {"CREATE TABLE t (n INTEGER PRIMARY KEY, data BLOB)", NULL};
        const Writer *w = userdata;
        sqlite3 *sql = NULL;
        Error error = {};
        int r;

        r = sql_open(w->path, migrations, NULL, &sql, &(Damage){}, &error);
        opened = r >= 0;
        if (r >= 0) {
                seen = number(sql, "SELECT count(*) FROM t");
                thread_pause(USEC_PER_SEC);
        }
        return r;
}

/* What a start saw, the next one sees, even if nothing was written since: what the kernel shows may differ
 * from what the disk has, after a sync that failed. */
static void test_what_was_seen_stays(void **state)
{
        Writer *w = &writers[0];

        for (unsigned i = 0; i < 500; i++) {
                process_start(w->process, write_rows, w);
                run_for(10 * USEC_PER_MSEC);
                disk_fail(machine, DISK_SYNC, 1 + (unsigned) world_random(3), world_random(4) == 0);
                process_kill_at(w->process, 1 + (unsigned) world_random(60));
                run_for(50 * USEC_PER_MSEC);
                process_kill(w->process);
                process_kill_at(w->process, 0);
                disk_fail(machine, DISK_SYNC, 0, false);
                process_start(w->process, look, w);
                run_for(50 * USEC_PER_MSEC);
                assert_true(process_is_up(w->process));
                const int before = seen;
                machine_power_off(machine, FAKE_LOSE);
                machine_power_on(machine);
                process_start(w->process, look, w);
                run_for(50 * USEC_PER_MSEC);
                assert_true(process_is_up(w->process));
                assert_int_equal(seen, before);
                process_kill(w->process);
                w->committed = seen;
        }
}

/* 12 MB in the tables, and a commit in the log. */
static int write_much(void *userdata)
{
        static const char *const migrations[] = {"CREATE TABLE t (n INTEGER PRIMARY KEY, data BLOB)", NULL};
        const Writer *w = userdata;
        sqlite3 *sql = NULL;
        Error error = {};
        int r = sql_open(w->path, migrations, NULL, &sql, &(Damage){}, &error);

        if (r >= 0)
                r = sql_run_text(sql, "BEGIN");
        for (int n = 1; n <= 3000 && r >= 0; n++)
                r = sql_run_text(sql, "INSERT INTO t (data) VALUES (randomblob(4000))");
        if (r >= 0)
                r = sql_run_text(sql, "COMMIT");
        if (r >= 0)
                r = sql_run_text(sql, "PRAGMA wal_checkpoint(TRUNCATE)");
        if (r >= 0)
                r = insert(sql, 100000);
        thread_pause(3600 * USEC_PER_SEC);
        return r;
}

/* The service manager waits for a start for a minute. If it was killed then, the next start would have to
 * check everything, too. */
static void test_slow_check(void **state)
{
        Writer *w = &writers[0];

        process_start(w->process, write_much, w);
        run_for(600 * USEC_PER_SEC);
        assert_true(process_is_up(w->process));
        process_kill(w->process);
        disk_set_read_speed(machine, 20 * USEC_PER_MSEC);
        opened = false;
        process_start(w->process, look, w);
        seen = 0;
        run_for(USEC_PER_SEC);
        assert_true(process_is_up(w->process));
        assert_int_equal(seen, 0);
        for (unsigned i = 0; i < 100 && !opened; i++)
                run_for(USEC_PER_SEC / 10);
        assert_true(opened);
        process_kill(w->process);
}

/* A copy lives its own life; the same file serves one process. */
static void test_copies(void **state)
{
        Writer again = {.process = process_new(machine, "again"), .path = "/m0/p0/db"};

        process_start(writers[0].process, write_rows, &writers[0]);
        run_for(USEC_PER_SEC);
        again.committed = writers[0].committed;
        process_start(again.process, write_rows, &again);
        run_for(USEC_PER_SEC);
        assert_false(process_is_up(again.process));
        assert_int_equal(last_status, -EBUSY);

        again.committed = writers[0].committed;
        disk_copy("/m0/p0", "/m0/p9");
        strcpy(again.path, "/m0/p9/db");
        process_start(again.process, write_rows, &again);
        run_for(USEC_PER_SEC);
        assert_true(process_is_up(writers[0].process) && process_is_up(again.process));
        process_kill(writers[0].process);
        process_kill(again.process);
        process_start(writers[0].process, write_rows, &writers[0]);
        process_start(again.process, write_rows, &again);
        run_for(USEC_PER_SEC);
        assert_true(process_is_up(writers[0].process) && process_is_up(again.process));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
        const struct CMUnitTest tests[] = {
                        TEST(kills),
                        TEST(power),
                        TEST(failures),
                        TEST(failures_at_start),
                        TEST(what_was_seen_stays),
                        TEST(slow_check),
                        TEST(copies),
        };

        return cmocka_run_group_tests_name("sim-sql", tests, NULL, NULL);
}
