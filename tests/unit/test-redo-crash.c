/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The redo log alone, on a disk in memory. A tail that a crash tore off is passed over; what lies before it
 * is there. A block that is damaged is counted, and the others are there. A record that is not what its
 * intact block says is an error. */

#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#include "store/disk.h"
#include "store/redo.h"
#include "world/disk.h"

static const uint8_t padding[5000] = {1};

typedef struct Heard {
        unsigned n;
        uint64_t last;
} Heard;

static int hear(void *userdata, const uint8_t *record, size_t size, uint32_t at)
{
        Heard *h = userdata;

        h->n++;
        memcpy(&h->last, record, sizeof h->last);
        return 0;
}

static int append(Redo *r, uint64_t value, size_t more)
{
        Buffer *block = redo_begin(r);

        assert_non_null(block);
        assert_int_equal(redo_record_begin(r), 0);
        assert_int_equal(buffer_append(block, &value, sizeof value), 0);
        assert_int_equal(buffer_append(block, padding, more), 0);
        redo_record_end(r);
        return redo_commit(r);
}

static void test_torn_tail(void **state)
{
        for (uint64_t seed = 0; seed < 200; seed++) {
                Heard h = {};
                Redo *r;

                fake_disk_reset();
                assert_int_equal(redo_open("/redo", &r), 0);
                assert_int_equal(append(r, 1, 1000), 0);
                assert_int_equal(append(r, 2, 0), 0);
                fake_disk_crash_at(1 + seed % 2); /* in the write, in the sync */
                assert_int_equal(append(r, 3, 5000), -EIO);
                r = redo_free(r);
                fake_disk_power_on(FAKE_TEAR, seed);

                assert_int_equal(redo_open("/redo", &r), 0);
                assert_int_equal(redo_replay(r, 0, hear, &h), 0);
                assert_in_range(h.n, 2, 3); /* by chance all of it may be there */
                assert_int_equal(h.last, h.n);
                assert_int_equal(redo_number(r), h.n);
                r = redo_free(r);
        }
}

static void test_damaged_record(void **state)
{
        Heard h = {};
        size_t size;
        Redo *r;

        fake_disk_reset();
        assert_int_equal(redo_open("/redo", &r), 0);
        assert_int_equal(append(r, 1, 0), 0);
        r = redo_free(r);

        /* Header: magic, size, checksum, number. The record claims to be longer than its block. */
        uint8_t *block = fake_disk_content("/redo", &size);
        block[24 + 3] = 200;
        const uint64_t sum = htobe64(XXH3_64bits(block + 16, 8 + 4 + 8));
        memcpy(block + 8, &sum, sizeof sum);
        assert_int_equal(redo_open("/redo", &r), 0);
        assert_int_equal(redo_replay(r, 0, hear, &h), -EUCLEAN);
        assert_int_equal(h.n, 0);
        r = redo_free(r);

        /* With another checksum it is no block at all. */
        block[8] ^= 1;
        assert_int_equal(redo_open("/redo", &r), 0);
        assert_int_equal(redo_replay(r, 0, hear, &h), 0);
        assert_int_equal(h.n, 0);
        redo_free(r);
}

typedef struct Numbers {
        unsigned n;
        bool heard[16];
} Numbers;

static int note_number(void *userdata, const uint8_t *record, size_t size, uint32_t at)
{
        Numbers *numbers = userdata;
        uint64_t number;

        memcpy(&number, record, sizeof number);
        assert_in_range(number, 0, 15);
        assert_false(numbers->heard[number]);
        numbers->heard[number] = true;
        numbers->n++;
        return 0;
}

/* Blocks 1 to 6 of several sizes; the tables have the first two. */
static size_t write_log(void)
{
        static const size_t sizes[] = {0, 2000, 600, 0, 1500, 100};
        size_t end = 0;
        Redo *r;

        fake_disk_reset();
        assert_int_equal(redo_open("/redo", &r), 0);
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(append(r, i + 1, sizes[i]), 0);
        redo_restart(r);
        for (unsigned i = 2; i < 6; i++) {
                assert_int_equal(append(r, i + 1, sizes[i]), 0);
                end += (24 + 4 + 8 + sizes[i] + 511) / 512 * 512;
        }
        redo_free(r);
        return end;
}

/* What is lost is counted, and nothing else is lost. */
static void check_damaged(uint64_t applied, unsigned n_damaged)
{
        Numbers numbers = {};
        Redo *r;

        assert_int_equal(redo_open("/redo", &r), 0);
        assert_int_equal(redo_replay(r, applied, note_number, &numbers), 0);
        assert_int_equal(numbers.n + redo_missing(r), 6 - applied);
        assert_in_range(redo_missing(r), 0, n_damaged);
        assert_false(redo_is_torn(r));
        assert_int_equal(redo_number(r), 6);
        redo_free(r);
}

/* Any bit of any block, the last one included, and of the seal. */
static void test_flipped_bit(void **state)
{
        const size_t end = write_log();
        unsigned n = 0;

        for (size_t at = 0; at < end + 512; at++) {
                size_t size;
                uint8_t *log = fake_disk_content("/redo", &size);

                log[at] ^= (uint8_t) (1u << (at % 8));
                check_damaged(2, 1);
                log[at] ^= (uint8_t) (1u << (at % 8));
                n++;
        }
        assert_true(n > 3000);
        check_damaged(2, 0);
}

/* The tables have lost what was written to them before the log began again. What the log still holds of that
 * is not lost. */
static void test_tables_went_back(void **state)
{
        size_t size;

        (void) write_log();
        check_damaged(0, 2);
        check_damaged(1, 1);
        memset(fake_disk_content("/redo", &size), 0, 512);
        check_damaged(2, 1);
}

/* Power is lost before the seal is on the disk: a bad last block is a torn one. */
static void test_bad_end_without_seal(void **state)
{
        Numbers numbers = {};
        size_t size, end = write_log();
        uint8_t *log = fake_disk_content("/redo", &size);
        Redo *r;

        log[end - 512 + 40] ^= 1;
        memset(log + end, 0, 512);
        assert_int_equal(redo_open("/redo", &r), 0);
        assert_int_equal(redo_replay(r, 2, note_number, &numbers), 0);
        assert_int_equal(numbers.n, 3);
        assert_int_equal(redo_missing(r), 0);
        assert_true(redo_is_torn(r));
        redo_free(r);
}

/* A failing write or sync: the number is used up, and the next block is found. */
static void test_failures(void **state)
{
        for (unsigned n = 1; n <= 2; n++) {
                Heard h = {};
                Redo *r;

                fake_disk_reset();
                assert_int_equal(redo_open("/redo", &r), 0);
                assert_int_equal(append(r, 1, 0), 0);
                fake_disk_fail(n, EIO, false);
                assert_int_equal(append(r, 2, 0), -EIO);
                assert_int_equal(redo_number(r), 2);
                redo_restart(r); /* as after the tables got everything */
                assert_int_equal(append(r, 3, 0), 0);
                r = redo_free(r);
                assert_int_equal(redo_open("/redo", &r), 0);
                assert_int_equal(redo_replay(r, 2, hear, &h), 0);
                assert_int_equal(h.n, 1);
                assert_int_equal(h.last, 3);
                redo_free(r);
        }
}

/* The sync of a block failed, although the disk has it; then the process was killed before it had erased the
 * block durably. What the next start does not find, no later one finds. */
static void test_what_was_not_found_stays_away(void **state)
{
        static const uint8_t zeroes[24];

        for (uint64_t n = 0; n < 3; n++) { /* blocks in front of that one */
                Heard h = {};
                DiskFile *file;
                Redo *r;

                fake_disk_reset();
                assert_int_equal(redo_open("/redo", &r), 0);
                for (uint64_t i = 1; i <= n + 1; i++)
                        assert_int_equal(append(r, i, 0), 0);
                r = redo_free(r);
                assert_int_equal(disk_open("/redo", &file), 0);
                assert_int_equal(disk_write(file, n * FAKE_SECTOR, zeroes, sizeof zeroes), 0);
                disk_close(file);

                assert_int_equal(redo_open("/redo", &r), 0);
                assert_int_equal(redo_replay(r, 0, hear, &h), 0);
                assert_int_equal(h.n, n);
                assert_int_equal(redo_forget_rest(r), 0);
                r = redo_free(r);
                fake_disk_crash();
                fake_disk_power_on(FAKE_LOSE, 0);
                assert_int_equal(redo_open("/redo", &r), 0);
                assert_int_equal(redo_replay(r, n, hear, &h), 0);
                assert_int_equal(h.n, n);
                redo_free(r);
        }
}

/* It does not grow when it cannot, and goes on. */
static void test_cannot_grow(void **state)
{
        size_t size;
        Redo *r;

        fake_disk_reset();
        assert_int_equal(redo_open("/redo", &r), 0);
        for (uint64_t n = 1; append(r, n, sizeof padding) == 0; n++)
                ;
        fake_disk_fill_up(true);
        redo_restart(r);
        assert_non_null(fake_disk_content("/redo", &size));
        assert_int_equal(size, 1 << 20);
        assert_int_equal(append(r, 1, 0), 0);
        redo_free(r);
}

/* A log that cannot be made leaves no file behind. */
static void test_cannot_be_made(void **state)
{
        Redo *r = NULL;

        for (unsigned n = 1; n <= 2; n++) {
                fake_disk_reset();
                fake_disk_fail(n, ENOSPC, false);
                assert_int_equal(redo_open("/redo", &r), -ENOSPC);
                assert_null(r);
                assert_false(disk_exists("/redo"));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_torn_tail),
                        cmocka_unit_test(test_damaged_record),
                        cmocka_unit_test(test_flipped_bit),
                        cmocka_unit_test(test_tables_went_back),
                        cmocka_unit_test(test_bad_end_without_seal),
                        cmocka_unit_test(test_failures),
                        cmocka_unit_test(test_what_was_not_found_stays_away),
                        cmocka_unit_test(test_cannot_grow),
                        cmocka_unit_test(test_cannot_be_made),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
