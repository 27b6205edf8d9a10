/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What happens to the files of machines beside their use: bits flip, directories are copied and removed, the
 * lock of a process stays with its heir. */

#include "sim-disk.h"

static int lock_fd; /* of the newest hold_lock() */

static int hold_lock(void *where)
{
        DiskFile *f;
        int r;

        assert_int_equal(disk_open(where, &f), 0);
        lock_fd = disk_fd(f);
        assert_true(lock_fd >= 0);
        r = disk_lock(f, 100 * USEC_PER_MSEC);
        if (r >= 0)
                thread_pause(USEC_PER_SEC);
        disk_close(f);
        return r;
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

/* What is copied back after it was removed may have the inode that it had. */
static void test_inodes(void **state)
{
        uint64_t device, inode, other_inode;
        unsigned n_same = 0;
        DiskFile *f;

        assert_int_equal(run(p0, append, path), 0);
        for (unsigned i = 0; i < 20; i++) {
                assert_int_equal(disk_open(path, &f), 0);
                assert_int_equal(disk_identity(f, &device, &inode), 0);
                disk_close(f);
                disk_copy("/m0", "/m1/backup");
                disk_remove_all("/m0");
                disk_copy("/m1/backup", "/m0");
                assert_int_equal(disk_open(path, &f), 0);
                assert_int_equal(disk_identity(f, &device, &other_inode), 0);
                disk_close(f);
                n_same += inode == other_inode;
        }
        assert_in_range(n_same, 1, 19);
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
        const struct CMUnitTest tests[] = {
                        TEST(flips),
                        TEST(copies),
                        TEST(inodes),
                        TEST(locks),
        };

        return cmocka_run_group_tests_name("sim-files", tests, NULL, NULL);
}
