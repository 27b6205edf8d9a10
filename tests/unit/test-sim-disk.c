/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The disks of machines (world/disk.h), used by processes that wait for them, die, and lose power. */

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
#include "store/disk.h"
#include "world/disk.h"
#include "world/memory.h"
#include "world/process.h"

#define SECTORS 64u

static Machine *m0, *m1;
static Process *p0, *p1;
static unsigned n_ends;
static int last_status;
static uint8_t ones[SECTORS * FAKE_SECTOR];

static void on_end(Process *p, bool killed, int status, void *userdata)
{
        n_ends++;
        last_status = killed ? 1000 : status;
}

static int setup(void **state)
{
        world_begin();
        memory_begin();
        memset(ones, 1, sizeof ones);
        n_ends = 0;
        m0 = machine_new("m0");
        m1 = machine_new("m1");
        p0 = process_new(m0, "p0");
        p1 = process_new(m0, "p1");
        process_on_end(on_end, NULL);
        return 0;
}

static int teardown(void **state)
{
        world_end();
        return 0;
}

static bool has_ended(void *userdata)
{
        return !process_is_up(userdata);
}

/* Returns the result of `fn`; 1000: it was killed. */
static int run(Process *p, int (*fn)(void *userdata), void *userdata)
{
        process_start(p, fn, userdata);
        world_run(world_now() + (3600 * USEC_PER_SEC), has_ended, p);
        assert_false(process_is_up(p));
        return last_status;
}

static void run_for(uint64_t usec)
{
        world_run(world_now() + usec, NULL, NULL);
}

static unsigned n_new(const char *path)
{
        size_t size;
        const uint8_t *data = fake_disk_content(path, &size);
        unsigned n = 0;

        for (size_t i = 0; data && i + FAKE_SECTOR <= size; i += FAKE_SECTOR) {
                n += data[i] == 1;
                /* A sector is old or new as a whole. */
                assert_memory_equal(data + i, data + i + 1, FAKE_SECTOR - 1);
        }
        return n;
}

/* Processes. */

/* A durable file of zeros; then a write, and a sync of it. */
static int write_ones(void *path)
{
        DiskFile *f;
        int r;

        r = disk_open(path, &f);
        if (r >= 0)
                r = disk_fill(f, 0, sizeof ones);
        if (r >= 0)
                r = disk_sync_directory(path);
        if (r >= 0)
                r = disk_write(f, 0, ones, sizeof ones);
        return r >= 0 ? disk_sync(f) : r;
}

static int write_without_sync(void *path)
{
        DiskFile *f;

        assert_int_equal(disk_open(path, &f), 0);
        assert_int_equal(disk_fill(f, 0, sizeof ones), 0);
        assert_int_equal(disk_sync_directory(path), 0);
        assert_int_equal(disk_write(f, 0, ones, sizeof ones), 0);
        thread_pause(3600 * USEC_PER_SEC);
        return 0;
}

static int sync_twice(void *path)
{
        DiskFile *f;
        int r;

        assert_int_equal(disk_open(path, &f), 0);
        assert_int_equal(disk_write(f, 0, ones, sizeof ones), 0);
        r = disk_sync(f);
        assert_int_equal(disk_sync(f), 0);
        disk_close(f);
        return r;
}

static int cut(void *path)
{
        DiskFile *f;

        assert_int_equal(disk_open(path, &f), 0);
        assert_int_equal(disk_truncate(f, 0), 0);
        assert_int_equal(disk_write(f, 0, ones, 2 * FAKE_SECTOR), 0);
        return 0;
}

static int append(void *path)
{
        DiskFile *f;
        uint64_t size;
        int r;

        r = disk_open(path, &f);
        if (r < 0)
                return r;
        assert_int_equal(disk_size(f, &size), 0);
        return disk_write(f, size, ones, sizeof ones);
}

static int lock_fd; /* of the newest hold_lock() */

static int hold_lock(void *path)
{
        DiskFile *f;
        int r;

        assert_int_equal(disk_open(path, &f), 0);
        lock_fd = disk_fd(f);
        assert_true(lock_fd >= 0);
        r = disk_lock(f, 100 * USEC_PER_MSEC);
        if (r >= 0)
                thread_pause(USEC_PER_SEC);
        disk_close(f);
        return r;
}

/* Tests. */

static char path[] = "/m0/f", other[] = "/m1/f";

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

static void test_flips(void **state)
{
        size_t size;
        unsigned n = 0;

        assert_null(disk_flip_bit("/m0", ""));
        assert_int_equal(run(p0, write_ones, path), 0);
        assert_null(disk_flip_bit("/m0", ".redo"));
        assert_null(disk_flip_bit("/m", ""));
        assert_string_equal(disk_flip_bit("/m0", ""), path);
        disk_lose_power(m0, FAKE_LOSE);
        const uint8_t *data = fake_disk_content(path, &size);
        for (size_t i = 0; i < size; i++)
                n += (unsigned) __builtin_popcount(data[i] ^ 1u);
        assert_int_equal(n, 1);
}

static void test_copies(void **state)
{
        static char copy[] = "/m1/copy/f";
        size_t size;
        uint64_t device, inode, other_device, other_inode;
        DiskFile *f;

        assert_int_equal(run(p0, write_ones, path), 0);
        disk_copy("/m0", "/m1/copy");
        disk_lose_power(m1, FAKE_LOSE);
        assert_int_equal(n_new(copy), SECTORS);
        assert_int_equal(disk_bytes("/m1"), sizeof ones);
        fake_disk_content(copy, &size)[0] = 7;
        disk_remove_all("/m0");
        assert_false(disk_exists(path));
        disk_lose_power(m0, FAKE_LOSE);
        assert_false(disk_exists(path));
        disk_copy("/m1/copy", "/m0/");
        assert_true(disk_exists("/m0//f"));
        disk_copy("/m1/copy", "/m0");
        assert_int_equal(fake_disk_content(path, &size)[0], 7);

        assert_int_equal(disk_open(path, &f), 0);
        assert_int_equal(disk_identity(f, &device, &inode), 0);
        disk_close(f);
        disk_copy("/m1/copy", "/m0");
        assert_int_equal(disk_open(path, &f), 0);
        assert_int_equal(disk_identity(f, &other_device, &other_inode), 0);
        disk_close(f);
        assert_true(inode != other_inode);
}

static void test_locks(void **state)
{
        process_start(p0, hold_lock, path);
        run_for(100);
        assert_int_equal(run(p1, hold_lock, path), -EBUSY);
        process_start(p0, hold_lock, path);
        run_for(950 * USEC_PER_MSEC); /* free before its patience ends */
        assert_int_equal(run(p1, hold_lock, path), 0);

        /* The warden of a process that was killed has the lock. */
        process_start(p0, hold_lock, path);
        run_for(100);
        disk_share_lock(lock_fd);
        process_kill(p0);
        assert_int_equal(run(p1, hold_lock, path), -EBUSY);
        disk_unshare_lock(lock_fd);
        assert_int_equal(run(p1, hold_lock, path), 0);

        process_start(p0, hold_lock, path);
        run_for(100);
        disk_share_lock(lock_fd);
        machine_power_off(m0, FAKE_KEEP);
        machine_power_on(m0);
        assert_int_equal(run(p1, hold_lock, path), 0);
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
        do {
                disk_remove_all("/m0");
                process_start(p0, write_ones, path);
                process_kill_at(p0, ++i);
                world_run(world_now() + (3600 * USEC_PER_SEC), has_ended, p0);
                assert_false(process_is_up(p0));
                r = last_status;
                n_partly += n_new(path) > 0 && n_new(path) < SECTORS;
        } while (r == 1000);
        assert_true(i > 10);
        assert_int_equal(n_new(path), SECTORS);
        assert_in_range(n_partly, 1, i);
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
                        TEST(power),
                        TEST(truncation),
                        TEST(names),
                        TEST(flips),
                        TEST(copies),
                        TEST(locks),
                        TEST(kills),
        };

        return cmocka_run_group_tests_name("sim-disk", tests, NULL, NULL);
}
