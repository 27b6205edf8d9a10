/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/fd-util.h"
#include "base/hash-index.h"
#include "base/heap.h"
#include "base/parse-util.h"
#include "base/slab.h"
#include "base/str-util.h"
#include "base/time-util.h"

typedef struct Word {
        IndexItem item;
        uint32_t value;
        bool in;
} Word;

static Word *find_word(const Index *x, uint32_t value, uint32_t hash)
{
        IndexItem *i = index_first(x, hash);

        while (i && CONTAINER_OF(i, Word, item)->value != value)
                i = index_next(i);
        return i ? CONTAINER_OF(i, Word, item) : NULL;
}

/* `mask` of the hash is used: with few bits many share one. */
static void check_index(uint32_t mask)
{
        static Word words[3000];
        Index x = {};
        size_t n = 0;

        assert_null(index_first(&x, 0));
        for (uint32_t round = 0; round < 4; round++)
                for (uint32_t i = 0; i < ELEMENTSOF(words); i++) {
                        uint32_t hash = index_hash(7, &i, sizeof i) & mask;
                        Word *w = words + i;

                        if (w->in && (i + round) % 3 == 0) {
                                index_remove(&x, &w->item);
                                w->in = false, n--;
                        } else if (!w->in && (i + round) % 2 == 0) {
                                w->value = i;
                                assert_int_equal(index_add(&x, &w->item, hash), 0);
                                w->in = true, n++;
                        }
                }
        assert_int_equal(x.n_items, n);
        for (uint32_t i = 0; i < ELEMENTSOF(words); i++) {
                Word *found = find_word(&x, i, index_hash(7, &i, sizeof i) & mask);
                assert_ptr_equal(found, words[i].in ? words + i : NULL);
        }
        IndexCursor cursor = {};
        for (IndexItem *i; (i = index_each(&x, &cursor)); n--) {
                assert_true(CONTAINER_OF(i, Word, item)->in);
                CONTAINER_OF(i, Word, item)->in = false;
                if (n % 2)
                        index_remove(&x, i);
        }
        assert_int_equal(n, 0);
        index_clear(&x);
}

/* Of any size, many or few. */
static void test_slab_blocks(void **state)
{
        static uint8_t *blocks[2000];
        Slab slab = {};

        for (size_t i = 0; i < ELEMENTSOF(blocks); i++) {
                blocks[i] = slab_block_new(&slab, i);
                assert_non_null(blocks[i]);
                memset(blocks[i], (int) i, i);
                assert_true(slab.blocks <= SLAB_BLOCKS_MAX);
        }
        for (size_t i = 0; i < ELEMENTSOF(blocks); i++) {
                for (size_t k = 0; k < i; k++)
                        assert_int_equal(blocks[i][k], (uint8_t) i);
                slab_block_free(&slab, blocks[i]);
        }
        assert_int_equal(slab.blocks, 0);
        assert_null(slab_block_new(&slab, SIZE_MAX));
        slab_block_free(&slab, NULL);
        slab_clear(&slab);
}

/* Each keeps what is written to it, whatever happens to the others; what is freed is used again. */
static void test_slab(void **state)
{
        static struct {
                unsigned char *p;
                size_t size;
        } things[20000];
        Slab slab = {};

        for (unsigned round = 0; round < 3; round++) {
                for (size_t i = 0; i < ELEMENTSOF(things); i++) {
                        if (things[i].p && (i + round) % 2 == 0) {
                                for (size_t k = 0; k < things[i].size; k++)
                                        assert_int_equal(things[i].p[k], i % 251);
                                slab_free(&slab, things[i].p, things[i].size);
                                things[i].p = NULL;
                        }
                        if (things[i].p)
                                continue;
                        things[i].size = 1 + i * (7 + round) % 1500;
                        things[i].p = slab_new(&slab, things[i].size);
                        assert_non_null(things[i].p);
                        assert_int_equal((uintptr_t) things[i].p % SLAB_STEP, 0);
                        memset(things[i].p, (int) (i % 251), things[i].size);
                }
        }
        for (size_t i = 0; i < ELEMENTSOF(things); i++) {
                assert_int_equal(things[i].p[things[i].size - 1], i % 251);
                slab_free(&slab, things[i].p, things[i].size);
        }
        slab_clear(&slab);
        assert_null(slab.chunks);
}

static void test_index(void **state)
{
        check_index(UINT32_MAX);
        check_index(0x1F);
        check_index(0);
        assert_int_not_equal(index_hash(1, "abcdefghij", 10), index_hash(2, "abcdefghij", 10));
        assert_int_not_equal(index_hash(1, "abcdefghij", 10), index_hash(1, "abcdefghik", 10));
        assert_int_not_equal(index_hash(1, "", 0), index_hash(1, "\0", 1));
}

typedef struct Entry {
        HeapItem heap;
        unsigned value;
} Entry;

static void test_heap(void **state)
{
        enum { N = 500 };
        static Entry entries[N];
        Heap h = {};
        unsigned seed = 1, left = 0;
        uint64_t last = 0;

        for (unsigned i = 0; i < N; i++) {
                heap_item_init(&entries[i].heap);
                assert_int_equal(heap_put(&h, &entries[i].heap, (seed = seed * 1103515245 + 12345) % 1000),
                                0);
        }
        /* Move a third, remove a third, from anywhere. */
        for (unsigned i = 0; i < N; i++)
                if (i % 3 == 0)
                        assert_int_equal(heap_put(&h, &entries[i].heap,
                                                         (seed = seed * 1103515245 + 12345) % 1000),
                                        0);
                else if (i % 3 == 1)
                        heap_remove(&h, &entries[i].heap);

        for (HeapItem *first; (first = heap_first(&h)); left++) {
                assert_true(first->due >= last);
                last = first->due;
                heap_remove(&h, first);
                heap_remove(&h, first); /* twice is fine */
        }
        assert_int_equal(left, N - 167);
        heap_clear(&h);
}

static void test_buffer(void **state)
{
        Buffer b = {};
        uint8_t next_in = 0, next_out = 0;

        for (unsigned round = 0; round < 2000; round++) {
                uint8_t chunk[97];
                size_t n = round * 31 % sizeof chunk;

                for (size_t i = 0; i < n; i++)
                        chunk[i] = next_in++;
                assert_int_equal(buffer_append(&b, chunk, n), 0);

                n = MIN(buffer_size(&b), (size_t) (round * 17 % 101));
                for (size_t i = 0; i < n; i++)
                        assert_int_equal(buffer_peek(&b)[i], next_out++);
                buffer_consume(&b, n);
        }
        assert_true(b.allocated <= 16384);
        buffer_clear(&b);
}

static void test_durations(void **state)
{
        static const struct {
                const char *text;
                int r;
                uint64_t usec;
        } cases[] = {
                        {"5", 0, 5000000},
                        {"500ms", 0, 500000},
                        {"1min 30s", 0, 90000000},
                        {"2h", 0, 7200000000},
                        {"infinity", 0, USEC_INFINITY},
                        {"", -EINVAL, 0},
                        {"5 parsecs", -EINVAL, 0},
                        {"-1", -EINVAL, 0},
                        {"99999999999999999999", -ERANGE, 0},
                        {"18446744073709551615", -ERANGE, 0},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint64_t usec = 0;
                assert_int_equal(parse_duration(cases[i].text, &usec), cases[i].r);
                assert_true(usec == cases[i].usec);
        }

        uint64_t at = 7, now = now_usec(CLOCK_REALTIME);
        assert_int_equal(parse_timestamp("@12", &at), 0);
        assert_true(at == 12 * USEC_PER_SEC);
        assert_int_equal(parse_timestamp("2030-01-31 18:00", &at), 0);
        assert_int_equal(parse_timestamp("2030-01-31T18:00:01", &now), 0);
        assert_true(now == at + USEC_PER_SEC);
        assert_int_equal(parse_timestamp("18:00", &at), 0);
        now = now_usec(CLOCK_REALTIME);
        assert_true(at > now && at <= now + 86400 * USEC_PER_SEC + 3600 * USEC_PER_SEC);
        assert_int_equal(parse_timestamp("tomorrow", &at), -EINVAL);
        assert_int_equal(parse_timestamp("2030-01-31", &at), -EINVAL);
        assert_int_equal(parse_timestamp("", &at), -EINVAL);
        assert_int_equal(parse_timestamp("2030-02-30 12:00", &at), -EINVAL);
        assert_int_equal(parse_timestamp("2030-04-31T12:00:00", &at), -EINVAL);
        assert_int_equal(parse_timestamp("2031-02-29 12:00", &at), -EINVAL);
        assert_int_equal(parse_timestamp("2032-02-29 12:00", &at), 0);

        char buffer[DURATION_MAX];
        assert_string_equal(format_duration(buffer, 90 * USEC_PER_SEC), "1min 30s");
        assert_string_equal(format_duration(buffer, 250 * USEC_PER_MSEC), "250ms");
        assert_string_equal(format_duration(buffer, 0), "0");
}

static void test_numbers(void **state)
{
        double p = -1;
        uint64_t size = 0;
        unsigned u = 0;
        bool b = false;

        assert_int_equal(parse_probability("50%", &p), 0);
        assert_true(p == 0.5);
        assert_int_equal(parse_probability("1.5", &p), -ERANGE);
        assert_int_equal(parse_probability("nan", &p), -EINVAL);
        assert_int_equal(parse_probability("0x1", &p), -EINVAL);
        assert_int_equal(parse_size("16K", &size), 0);
        assert_int_equal(size, 16384);
        assert_int_equal(parse_size("16KB", &size), -EINVAL);
        assert_int_equal(parse_size("99999999999T", &size), -ERANGE);
        assert_int_equal(parse_unsigned("70000", 0, 65535, &u), -ERANGE);
        assert_int_equal(parse_unsigned("+7", 0, 65535, &u), -EINVAL);
        assert_int_equal(parse_bool("Yes", &b), 0);
        assert_true(b);
        assert_int_equal(parse_bool("maybe", &b), -EINVAL);
}

static void test_words(void **state)
{
        _cleanup_(strv_freep) char **words = NULL, **none = NULL;

        assert_int_equal(str_split_words(" /bin/sh -c 'echo \"a b\"' x\\ y \"q\\\"\" '' ", &words), 0);
        assert_int_equal(strv_length(words), 6);
        assert_string_equal(words[2], "echo \"a b\"");
        assert_string_equal(words[3], "x y");
        assert_string_equal(words[4], "q\"");
        assert_string_equal(words[5], "");
        assert_int_equal(str_split_words("it's", &none), -EINVAL);
        assert_int_equal(str_split_words("end\\", &none), -EINVAL);
}

static void test_printable(void **state)
{
        static const struct {
                const char *in, *out;
                size_t max;
        } cases[] = {
                        {"ola\n", "ola\\n", 100},
                        {"ol\xc3\xa1", "ol\xc3\xa1", 100},
                        {"\x1b[31m", "\\x1b[31m", 100},
                        {"\xc3", "\\xc3", 100},
                        {"\xc0\x80", "\\xc0\\x80", 100},          /* overlong */
                        {"\xed\xa0\x80", "\\xed\\xa0\\x80", 100}, /* surrogate */
                        {"abcdef", "abc\xe2\x80\xa6", 3},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *s = str_printable(cases[i].in, strlen(cases[i].in), cases[i].max);
                assert_string_equal(s, cases[i].out);
        }
}

static void test_synced_file(void **state)
{
        char directory[] = "/tmp/test-base-XXXXXX", path[64];
        _cleanup_free_ char *text = NULL;
        size_t n;

        assert_non_null(mkdtemp(directory));
        (void) snprintf(path, sizeof path, "%s/a/b/c", directory);
        assert_int_equal(mkdir_parents(path, 0700), 0);
        assert_int_equal(mkdir_parents(path, 0700), 0);
        (void) snprintf(path, sizeof path, "%s/f", directory);
        assert_int_equal(write_file_synced(path, "old", 3, 0600), 0);
        assert_int_equal(write_file_synced(path, "newer", 5, 0600), 0);
        assert_int_equal(read_file(path, 100, &text, &n), 0);
        assert_string_equal(text, "newer");
        free_clear(&text);
        assert_int_equal(read_file(path, 4, &text, &n), -EFBIG);

        (void) unlink(path);
        for (const char *const *part = (const char *const[]){"a/b/c", "a/b", "a", "", NULL}; *part; part++) {
                (void) snprintf(path, sizeof path, "%s/%s", directory, *part);
                assert_int_equal(rmdir(path), 0);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_index),
                        cmocka_unit_test(test_slab),
                        cmocka_unit_test(test_slab_blocks),
                        cmocka_unit_test(test_heap),
                        cmocka_unit_test(test_buffer),
                        cmocka_unit_test(test_durations),
                        cmocka_unit_test(test_numbers),
                        cmocka_unit_test(test_words),
                        cmocka_unit_test(test_printable),
                        cmocka_unit_test(test_synced_file),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
