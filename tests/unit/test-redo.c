/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "store/redo.h"

typedef struct Fixture {
        char path[64];
        Redo *redo;
        uint64_t heard[4096]; /* what a replay told */
        size_t n;
} Fixture;

static int setup(void **state)
{
        Fixture *f = calloc(1, sizeof *f);

        strcpy(f->path, "/tmp/test-redo-XXXXXX");
        int fd = mkstemp(f->path);
        if (fd < 0)
                return -1;
        (void) close(fd);
        *state = f;
        return redo_open(f->path, &f->redo);
}

static int teardown(void **state)
{
        Fixture *f = *state;

        redo_free(f->redo);
        (void) unlink(f->path);
        free(f);
        return 0;
}

static int hear(void *userdata, const uint8_t *record, size_t size, uint32_t at)
{
        Fixture *f = userdata;
        Reader in = {record, size, false};

        assert_true(at > 0);
        f->heard[f->n++] = take_u64(&in);
        return 0;
}

/* A block of one record: a number, and so many bytes behind it. */
static int append(Fixture *f, uint64_t number, size_t more)
{
        Buffer *block = redo_begin(f->redo);

        assert_non_null(block);
        assert_int_equal(redo_record_begin(f->redo), 0);
        assert_non_null(buffer_reserve(block, 8 + more));
        put_u64(block, number);
        memset(block->data + block->end, 0xee, more);
        buffer_added(block, more);
        redo_record_end(f->redo);
        return redo_commit(f->redo);
}

/* As after a crash: what a new start finds. */
static void replay(Fixture *f, uint64_t applied)
{
        f->redo = redo_free(f->redo);
        f->n = 0;
        assert_int_equal(redo_open(f->path, &f->redo), 0);
        assert_int_equal(redo_replay(f->redo, applied, hear, f), 0);
}

static void overwrite(const Fixture *f, off_t at, uint8_t byte)
{
        int fd = open(f->path, O_WRONLY);

        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        (void) close(fd);
}

static void test_replay(void **state)
{
        Fixture *f = *state;

        replay(f, 0);
        assert_int_equal(f->n, 0);
        redo_restart(f->redo);
        for (uint64_t i = 1; i <= 100; i++)
                assert_int_equal(append(f, i * 10, i * 7), 0);
        assert_int_equal(redo_number(f->redo), 100);
        replay(f, 0);
        assert_int_equal(f->n, 100);
        for (uint64_t i = 1; i <= 100; i++)
                assert_int_equal(f->heard[i - 1], i * 10);
        assert_int_equal(redo_number(f->redo), 100);
        /* What the tables have is not told again. */
        replay(f, 97);
        assert_int_equal(f->n, 3);
        assert_int_equal(f->heard[0], 980);
        replay(f, 100);
        assert_int_equal(f->n, 0);
        assert_int_equal(redo_number(f->redo), 100);
}

static void test_what_is_old_is_not_told(void **state)
{
        Fixture *f = *state;

        replay(f, 0);
        redo_restart(f->redo);
        for (uint64_t i = 1; i <= 50; i++)
                assert_int_equal(append(f, i, 0), 0);
        /* The tables have 50; three new ones at the front, the old ones still behind them. */
        redo_restart(f->redo);
        for (uint64_t i = 51; i <= 53; i++)
                assert_int_equal(append(f, i, 0), 0);
        replay(f, 50);
        assert_int_equal(f->n, 3);
        assert_int_equal(f->heard[0], 51);
        /* A crash between the tables' sync and the first block behind it. */
        redo_restart(f->redo);
        replay(f, 53);
        assert_int_equal(f->n, 0);
        redo_restart(f->redo);
        assert_int_equal(append(f, 54, 0), 0);
        replay(f, 53);
        assert_int_equal(f->n, 1);
        assert_int_equal(f->heard[0], 54);
}

static void test_torn(void **state)
{
        Fixture *f = *state;

        replay(f, 0);
        redo_restart(f->redo);
        for (uint64_t i = 1; i <= 3; i++)
                assert_int_equal(append(f, i, 1000), 0);
        /* A block of 1036 bytes takes three sectors: any byte of the last one. */
        for (off_t at = 2 * 1536; at < 2 * 1536 + 1036; at += 17) {
                struct stat st;
                uint8_t byte;
                int fd = open(f->path, O_RDONLY);

                assert_int_equal(fstat(fd, &st), 0);
                assert_int_equal(pread(fd, &byte, 1, at), 1);
                (void) close(fd);
                overwrite(f, at, (uint8_t) (byte ^ 0x10));
                replay(f, 0);
                /* Four bytes of the header say nothing, and must not matter. */
                assert_true(f->n == 2 || (f->n == 3 && at >= 2 * 1536 + 12 && at < 2 * 1536 + 16));
                overwrite(f, at, byte);
        }
        replay(f, 0);
        assert_int_equal(f->n, 3);
}

static void test_full(void **state)
{
        Fixture *f = *state;
        uint64_t i = 0;
        struct stat st;
        int r;

        replay(f, 0);
        redo_restart(f->redo);
        while ((r = append(f, i + 1, 10000)) == 0)
                i++;
        assert_int_equal(r, -ENOBUFS);
        assert_in_range(i, 90, 105); /* of 1 MiB */
        replay(f, 0);
        assert_int_equal(f->n, i);
        /* It was soon full, so it is larger now. */
        assert_int_equal(append(f, 1, (1 << 20)), -ENOBUFS);
        redo_restart(f->redo);
        redo_free(f->redo);
        f->redo = NULL;
        assert_int_equal(redo_open(f->path, &f->redo), 0);
        assert_int_equal(redo_replay(f->redo, i, hear, f), 0);
        redo_restart(f->redo);
        for (uint64_t n = 0; append(f, i + n + 1, 10000) == 0; n++)
                ;
        redo_restart(f->redo);
        assert_int_equal(stat(f->path, &st), 0);
        assert_int_equal(st.st_size, 2 << 20);
        assert_int_equal(append(f, 1, (1 << 20) + 1000), 0);
}

static void test_failing_write(void **state)
{
        Fixture *f = *state;
        struct rlimit before, limit;

        replay(f, 0);
        redo_restart(f->redo);
        assert_int_equal(append(f, 1, 0), 0);
        (void) signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
        limit = before;
        limit.rlim_cur = 512;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        assert_int_equal(append(f, 2, 0), -EFBIG);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        /* Its number counts as used: nobody knows what is on disk. */
        assert_int_equal(redo_number(f->redo), 2);
        redo_restart(f->redo);
        assert_int_equal(append(f, 3, 0), 0);
        replay(f, 2);
        assert_int_equal(f->n, 1);
        assert_int_equal(f->heard[0], 3);
}

static void test_any_bytes(void **state)
{
        Fixture *f = *state;

        srand(1);
        for (unsigned round = 0; round < 50; round++) {
                int fd = open(f->path, O_WRONLY);
                uint8_t bytes[4096];

                for (size_t i = 0; i < sizeof bytes; i++)
                        bytes[i] = (uint8_t) rand();
                memcpy(bytes, "AGR\2", 4);
                if (round % 2 == 0)
                        memset(bytes + 4, 0, 2); /* a size that fits */
                assert_int_equal(pwrite(fd, bytes, sizeof bytes, 0), sizeof bytes);
                (void) close(fd);
                replay(f, 0);
                assert_int_equal(f->n, 0);
        }
}

/* What another version has, and the tables do not, is not passed over. */
static void test_another_version(void **state)
{
        Fixture *f = *state;

        assert_int_equal(append(f, 1, 0), 0);
        f->redo = redo_free(f->redo);
        int fd = open(f->path, O_WRONLY);
        assert_int_equal(pwrite(fd, "\1", 1, 3), 1);
        assert_int_equal(pwrite(fd, "\1", 1, 512 + 3), 1); /* the seal */
        (void) close(fd);
        assert_int_equal(redo_open(f->path, &f->redo), 0);
        assert_int_equal(redo_replay(f->redo, 0, hear, f), -EPROTO);
        assert_int_equal(redo_replay(f->redo, 1, hear, f), 0);
        assert_int_equal(f->n, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_replay, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_what_is_old_is_not_told, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_torn, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_full, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_failing_write, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_any_bytes, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_another_version, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
