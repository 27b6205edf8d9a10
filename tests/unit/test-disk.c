/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The real disk, and the one in memory that other tests link: both must do the same. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/disk.h"

static char directory[] = "/tmp/test-disk-XXXXXX";
static char path[64], missing[64];

static int setup(void **state)
{
        if (!mkdtemp(directory))
                return -1;
        (void) snprintf(path, sizeof path, "%s/file", directory);
        (void) snprintf(missing, sizeof missing, "%s/missing", directory);
        return 0;
}

static int teardown(void **state)
{
        disk_remove(path);
        return rmdir(directory);
}

static void test_bytes(void **state)
{
        const uint8_t *map;
        uint64_t size;
        DiskFile *f;

        assert_false(disk_exists(path));
        assert_int_equal(disk_open(path, &f), 0);
        assert_true(disk_exists(path));
        assert_int_equal(disk_size(f, &size), 0);
        assert_int_equal(size, 0);

        assert_int_equal(disk_fill(f, 0, 100000), 0);
        assert_int_equal(disk_size(f, &size), 0);
        assert_int_equal(size, 100000);
        assert_int_equal(disk_map(f, 100000, &map), 0);
        assert_int_equal(map[0], 0);
        assert_int_equal(map[99999], 0);

        /* A mapping shows what is written later. */
        assert_int_equal(disk_write(f, 70000, "hello", 5), 0);
        assert_int_equal(disk_sync(f), 0);
        assert_int_equal(disk_sync_directory(path), 0);
        assert_memory_equal(map + 70000, "hello", 5);
        disk_release_pages(f);
        assert_memory_equal(map + 70000, "hello", 5);

        assert_int_equal(disk_fill(f, 100000, 200000), 0);
        assert_int_equal(disk_map(f, 200000, &map), 0);
        assert_memory_equal(map + 70000, "hello", 5);
        assert_int_equal(map[199999], 0);
        assert_int_equal(disk_rewrite(f, 100), 0);
        assert_int_equal(disk_rewrite(f, UINT64_MAX), 0);
        assert_int_equal(disk_size(f, &size), 0);
        assert_int_equal(size, 200000);
        assert_memory_equal(map + 70000, "hello", 5);
        assert_int_equal(map[199999], 0);
        assert_int_equal(disk_truncate(f, 70002), 0);
        assert_int_equal(disk_size(f, &size), 0);
        assert_int_equal(size, 70002);
        assert_null(disk_close(f));

        assert_int_equal(disk_open(path, &f), 0);
        assert_int_equal(disk_size(f, &size), 0);
        assert_int_equal(size, 70002);
        assert_null(disk_close(f));
        disk_remove(path);
        assert_false(disk_exists(path));
        assert_null(disk_close(NULL));
}

static void test_lock(void **state)
{
        uint64_t device, inode, device_again, inode_again;
        DiskFile *a, *b;

        assert_int_equal(disk_open(path, &a), 0);
        assert_int_equal(disk_open(path, &b), 0);
        assert_int_equal(disk_lock(a, 0), 0);
        assert_int_equal(disk_lock(b, 1000), -EBUSY);
        assert_int_equal(disk_identity(a, &device, &inode), 0);
        assert_int_equal(disk_identity(b, &device_again, &inode_again), 0);
        assert_true(device == device_again && inode == inode_again);
        disk_close(a);
        assert_int_equal(disk_lock(b, 0), 0);

        /* Another file of the same name is another file. */
        disk_remove(path);
        assert_int_equal(disk_open(path, &a), 0);
        assert_int_equal(disk_identity(a, &device, &inode), 0);
        assert_true(inode != inode_again);
        disk_close(a);
        disk_close(b);
}

static void test_rename(void **state)
{
        uint64_t size;
        DiskFile *f;

        assert_int_equal(disk_rename(missing, path), -ENOENT);
        assert_int_equal(disk_open(path, &f), 0);
        disk_close(f);
        assert_int_equal(disk_open(missing, &f), 0);
        assert_int_equal(disk_write(f, 0, "hello", 5), 0);
        disk_close(f);
        assert_int_equal(disk_rename(missing, path), 0);
        assert_false(disk_exists(missing));
        assert_int_equal(disk_open(path, &f), 0);
        assert_int_equal(disk_size(f, &size), 0);
        assert_int_equal(size, 5);
        disk_close(f);
        disk_remove(path);
}

#ifndef FAKE
static void test_failures(void **state)
{
        const uint8_t *map;
        uint64_t a, b;
        DiskFile *f;
        char below[80];

        (void) snprintf(below, sizeof below, "%s/file", missing);
        assert_int_equal(disk_open(below, &f), -ENOENT);
        assert_int_equal(disk_sync_directory(below), -ENOENT);
        disk_remove(missing);

        assert_int_equal(disk_open(path, &f), 0);
        assert_true(disk_fd(f) >= 0);
        assert_int_equal(disk_map(f, 0, &map), -EINVAL);
        /* A descriptor that is no file any more. */
        (void) close(disk_fd(f));
        assert_int_equal(disk_write(f, 0, "x", 1), -EBADF);
        assert_int_equal(disk_fill(f, 0, 10), -EBADF);
        assert_int_equal(disk_sync(f), -EBADF);
        assert_int_equal(disk_rewrite(f, 10), -EBADF);
        assert_int_equal(disk_truncate(f, 0), -EBADF);
        assert_int_equal(disk_lock(f, 0), -EBADF);
        assert_int_equal(disk_size(f, &a), -EBADF);
        assert_int_equal(disk_identity(f, &a, &b), -EBADF);
        disk_close(f);
        /* A file that cannot be read. */
        assert_int_equal(disk_open("/proc/self/mem", &f), 0);
        assert_int_equal(disk_read(f, 0, below, 1), -EUCLEAN);
        assert_int_equal(disk_map(f, 4096, &map), -EUCLEAN);
        assert_int_equal(disk_rewrite(f, 4096), -EUCLEAN);
        disk_close(f);
        assert_null(disk_vfs());
}
#endif

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_bytes),
                        cmocka_unit_test(test_lock),
                        cmocka_unit_test(test_rename),
#ifndef FAKE
                        cmocka_unit_test(test_failures),
#endif
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
