/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The disks of machines (world/disk.h), used by processes that wait for them, die, and lose power. */

#include "sim-disk.h"

/* Processes. */

static int write_without_sync(void *where)
{
        DiskFile *f;

        assert_int_equal(disk_open(where, &f), 0);
        assert_int_equal(disk_fill(f, 0, sizeof ones), 0);
        assert_int_equal(disk_sync_directory(where), 0);
        assert_int_equal(disk_write(f, 0, ones, sizeof ones), 0);
        thread_pause(3600 * USEC_PER_SEC);
        return 0;
}

static int sync_twice(void *where)
{
        DiskFile *f;
        int r;

        assert_int_equal(disk_open(where, &f), 0);
        assert_int_equal(disk_write(f, 0, ones, sizeof ones), 0);
        r = disk_sync(f);
        assert_int_equal(disk_sync(f), 0);
        disk_close(f);
        return r;
}

static int cut(void *where)
{
        DiskFile *f;

        assert_int_equal(disk_open(where, &f), 0);
        assert_int_equal(disk_truncate(f, 0), 0);
        assert_int_equal(disk_write(f, 0, ones, 2 * FAKE_SECTOR), 0);
        return 0;
}

/* Tests. */

static char other[] = "/m1/f";

static void test_speed(void **state)
{
        uint64_t before = world_now();

        assert_int_equal(run(p0, write_ones, path), 0);
        assert_true(world_now() == before);
        disk_set_speed(m0, 100, 100, 1000, 1000);
        assert_int_equal(run(p0, write_ones, path), 0);
        /* Two writes, perhaps in two parts; two syncs and one of the directory. */
        assert_in_range(world_now() - before, 3200, 3400);
        disk_set_speed(m1, 1, 1, 1, 1);
        before = world_now();
        assert_int_equal(run(p0, write_ones, other), 0);
        assert_in_range(world_now() - before, 5, 7);
}

static void test_hangs(void **state)
{
        disk_hang(m0, true);
        process_start(p0, write_ones, path);
        process_start(p1, write_ones, other);
        run_for(60 * USEC_PER_SEC);
        assert_true(process_is_up(p0));
        assert_false(process_is_up(p1));
        disk_hang(m0, false);
        run_for(USEC_PER_SEC);
        assert_false(process_is_up(p0));
        assert_int_equal(last_status, 0);

        disk_hang(m0, true);
        process_start(p0, write_ones, path);
        run_for(USEC_PER_SEC);
        process_kill(p0);
        assert_int_equal(last_status, 1000);
}

static void test_full(void **state)
{
        static char fresh[] = "/m0/fresh";
        unsigned n_refused = 0;

        assert_int_equal(run(p0, append, path), 0);
        disk_set_full(m0, true);
        assert_int_equal(run(p0, write_ones, path), 0); /* as large as before */
        assert_int_equal(run(p0, append, path), -ENOSPC);
        assert_int_equal(disk_bytes("/m0"), sizeof ones);
        assert_int_equal(run(p0, append, other), 0);
        for (unsigned i = 0; i < 20 && !disk_exists(fresh); i++)
                n_refused += run(p0, append, fresh) == -ENOSPC;
        assert_true(n_refused > 0);
        assert_true(disk_exists(fresh));
        disk_set_full(m0, false);
        assert_int_equal(run(p0, append, path), 0);
}

static void test_fails(void **state)
{
        disk_fail(m0, DISK_WRITE, 2, false);
        assert_int_equal(run(p0, append, path), 0);
        assert_int_equal(run(p0, append, path), -EIO);
        assert_int_equal(run(p0, append, path), 0);
        assert_int_equal(run(p0, append, other), 0);
        disk_fail(m0, DISK_SYNC, 1, true);
        assert_int_equal(run(p0, append, path), 0);
        assert_int_equal(run(p0, sync_twice, other), 0);
        assert_int_equal(run(p0, write_ones, path), -EIO);
        disk_fail(m0, DISK_SYNC, 0, false);
        assert_int_equal(run(p0, write_ones, path), 0);
}

/* After a sync that failed the next one succeeds, though sectors were lost for ever. */
static void test_lost_in_sync(void **state)
{
        unsigned n_visible = 0, n_lost = 0;

        for (unsigned i = 0; i < 20; i++) {
                disk_remove_all("/m0");
                assert_int_equal(run(p0, write_ones, path), 0);
                memset(ones, 2, sizeof ones);
                disk_fail(m0, DISK_SYNC, 1, false);
                assert_int_equal(run(p0, sync_twice, path), -EIO);
                memset(ones, 1, sizeof ones);
                n_visible += n_new(path) == 0;
                disk_lose_power(m0, FAKE_KEEP);
                assert_in_range(n_new(path), 1, SECTORS - 1);
                n_lost += n_new(path);
                /* What is written again gets to the disk. */
                assert_int_equal(run(p0, sync_twice, path), 0);
                disk_lose_power(m0, FAKE_LOSE);
                assert_int_equal(n_new(path), SECTORS);
        }
        assert_in_range(n_visible, 1, 19);
        assert_in_range(n_lost, 20 * SECTORS / 3, 20 * SECTORS * 2 / 3);
}

static int rewrite(void *where)
{
        DiskFile *f;
        int r = disk_open(where, &f);

        return r < 0 ? r : disk_rewrite(f, UINT64_MAX);
}

/* What can be seen after a sync that failed is on the disk when it is written once more. */
static void test_rewritten(void **state)
{
        for (unsigned i = 0; i < 20; i++) {
                disk_remove_all("/m0");
                assert_int_equal(run(p0, write_ones, path), 0);
                memset(ones, 2, sizeof ones);
                disk_fail(m0, DISK_SYNC, 1, false);
                assert_int_equal(run(p0, sync_twice, path), -EIO);
                memset(ones, 1, sizeof ones);
                const unsigned n = n_new(path);
                assert_int_equal(run(p0, rewrite, path), 0);
                disk_lose_power(m0, FAKE_LOSE);
                assert_int_equal(n_new(path), n);
        }
}

static void lose(FakeLoss loss, int (*fn)(void *userdata))
{
        process_start(p0, fn, path);
        process_start(p1, fn, other);
        run_for(USEC_PER_SEC);
        machine_power_off(m0, loss);
        assert_false(process_is_up(p0));
        machine_power_on(m0);
}

static void test_power(void **state)
{
        unsigned n;

        lose(FAKE_KEEP, write_without_sync);
        assert_int_equal(n_new(path), SECTORS);
        disk_remove_all("/m0");
        lose(FAKE_LOSE, write_without_sync);
        assert_int_equal(n_new(path), 0);
        disk_remove_all("/m0");
        lose(FAKE_TEAR, write_without_sync);
        n = n_new(path);
        assert_in_range(n, SECTORS / 4, SECTORS * 3 / 4);
        assert_int_equal(n_new(other), SECTORS);
        lose(FAKE_TEAR, write_ones);
        assert_int_equal(n_new(path), SECTORS);
}

/* A file that is shorter may be long again, with its old content. */
static void test_truncation(void **state)
{
        unsigned n_old = 0, n_short = 0;
        size_t size;

        for (unsigned i = 0; i < 50; i++) {
                assert_int_equal(run(p0, write_ones, path), 0);
                assert_int_equal(run(p0, cut, path), 0);
                assert_non_null(fake_disk_content(path, &size));
                assert_int_equal(size, 2 * FAKE_SECTOR);
                disk_lose_power(m0, FAKE_TEAR);
                assert_non_null(fake_disk_content(path, &size));
                if (size == sizeof ones) {
                        n_old++;
                        assert_int_equal(n_new(path), SECTORS);
                } else
                        n_short += size <= 2 * FAKE_SECTOR;
                disk_remove_all("/m0");
        }
        assert_int_equal(n_old + n_short, 50);
        assert_in_range(n_old, 10, 40);
}

/* A name that was made or removed is on the disk after the sync of its directory. */
static void test_names(void **state)
{
        unsigned n_there = 0, n_back = 0;

        assert_int_equal(run(p0, append, path), 0);
        disk_lose_power(m0, FAKE_LOSE);
        assert_false(disk_exists(path));

        for (unsigned i = 0; i < 50; i++) {
                assert_int_equal(run(p0, append, path), 0);
                disk_lose_power(m0, FAKE_TEAR);
                n_there += disk_exists(path);
                assert_int_equal(run(p0, write_ones, path), 0);
                disk_lose_power(m0, FAKE_LOSE);
                assert_true(disk_exists(path));
                disk_remove(path);
                assert_false(disk_exists(path));
                disk_lose_power(m0, FAKE_TEAR);
                n_back += disk_exists(path);
                if (disk_exists(path))
                        assert_int_equal(n_new(path), SECTORS);
                disk_remove(path);
                assert_int_equal(disk_sync_directory(path), 0);
                disk_lose_power(m0, FAKE_TEAR);
                assert_false(disk_exists(path));
        }
        assert_in_range(n_there, 10, 40);
        assert_in_range(n_back, 10, 40);
}

static int open_nothing(void *userdata)
{
        DiskFile *f;

        assert_int_equal(disk_open(NULL, &f), 0);
        assert_int_equal(disk_write(f, 0, ones, sizeof ones), 0);
        assert_int_equal(process_n_descriptors(p0), 1);
        assert_int_equal(process_n_objects(p0), 0);
        thread_pause(USEC_PER_SEC);
        return 0;
}

/* It dies at each call in turn: in the middle of a write some of it is there. */
static void test_kills(void **state)
{
        unsigned n_partly = 0, i = 0;
        int r;

        run(p0, open_nothing, NULL);
        process_start(p0, open_nothing, NULL);
        run_for(100);
        process_kill(p0);
        assert_int_equal(process_n_descriptors(p0), 0);
        for (unsigned round = 0; round < 10; round++) {
                i = 0;
                do {
                        disk_remove_all("/m0");
                        process_start(p0, write_ones, path);
                        process_kill_at(p0, ++i);
                        world_run(world_now() + (3600 * USEC_PER_SEC), has_ended, p0);
                        assert_false(process_is_up(p0));
                        r = last_status;
                        n_partly += n_new(path) > 0 && n_new(path) < SECTORS;
                } while (r == 1000);
        }
        assert_true(i > 10);
        assert_int_equal(n_new(path), SECTORS);
        assert_in_range(n_partly, 1, 10 * i);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
        const struct CMUnitTest tests[] = {
                        TEST(speed),
                        TEST(hangs),
                        TEST(full),
                        TEST(fails),
                        TEST(lost_in_sync),
                        TEST(rewritten),
                        TEST(power),
                        TEST(truncation),
                        TEST(names),
                        TEST(kills),
        };

        return cmocka_run_group_tests_name("sim-disk", tests, NULL, NULL);
}
