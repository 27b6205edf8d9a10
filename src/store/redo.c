/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/redo.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/crash-point.h"
#include "base/time-util.h"
#include "store/disk.h"

#define SIZE_MIN      ((size_t) 1 << 20)
#define SIZE_MAX_LOG  ((size_t) 64 << 20)
#define SECTOR        512u
#define SOON_USEC     (2 * USEC_PER_SEC) /* a log that fills faster is too small */
#define HEADER        24u /* magic, size of the records, checksum of number and records, number */
#define RECORD_HEADER 4u  /* size */

/* At most RESIDENT_MAX bytes of the mapped file stay in memory. The kernel maps about AROUND bytes for each
 * place that is read. */
#define RESIDENT_MAX ((size_t) 1 << 20)
#define AROUND       ((size_t) 64 << 10)

#define BLOCK_KEPT ((size_t) 4 << 20) /* the memory of a larger block is freed when the next batch comes */

#define VERSION_AT 3u /* index in the magic */

static const uint8_t magic[4] = {'A', 'G', 'R', 2};

struct Redo {
        DiskFile *file;
        size_t size; /* of the file */
        const uint8_t *map;
        size_t at;        /* where the next block goes */
        size_t end;       /* of the unbroken series that the replay found */
        size_t last;      /* where the last block begins */
        uint64_t number;  /* of the last block */
        Buffer block;     /* the block that is being built */
        size_t records;   /* size of the records in the last block */
        size_t record;    /* where in `block` the record begins that is being appended */
        uint64_t missing; /* blocks, as the replay found */
        bool torn;
        uint64_t since;  /* CLOCK_BOOTTIME of the last restart */
        size_t resident; /* about so many bytes of the map are in memory */
        size_t around;   /* which part of the map was read last */
};

static int map(Redo *r, size_t size)
{
        int x = disk_map(r->file, size, &r->map);

        if (x >= 0)
                r->size = size;
        return x;
}

int redo_open(const char *path, Redo **ret)
{
        uint64_t found;
        int x;

        _cleanup_(redo_freep) Redo *r = calloc(1, sizeof *r);
        if (!r)
                return -ENOMEM;
        x = disk_open(path, &r->file);
        if (x >= 0)
                x = disk_size(r->file, &found);
        if (x < 0)
                return x;
        /* A crash while the file grows leaves an odd size. No block reaches into the new part. */
        size_t size = MAX((size_t) found / SIZE_MIN * SIZE_MIN, SIZE_MIN);
        if (found < size)
                x = disk_fill(r->file, 0, size);
        /* Also for a file that is there: whoever made it may have been killed before this. */
        if (x >= 0)
                x = disk_sync_directory(path);
        if (x < 0 && found < size)
                disk_remove(path);
        if (x >= 0)
                x = map(r, size);
        if (x < 0)
                return x;
        r->since = now_usec(CLOCK_BOOTTIME);
        *ret = TAKE_PTR(r);
        return 0;
}

Redo *redo_free(Redo *r)
{
        if (!r)
                return NULL;
        disk_close(r->file);
        buffer_clear(&r->block);
        free(r);
        return NULL;
}

/* Called before `size` bytes at `at` are read. */
static void will_read(Redo *r, size_t at, size_t size)
{
        if (at / AROUND == r->around && size <= AROUND)
                return;
        if (r->resident > RESIDENT_MAX) {
                disk_release_pages(r->file);
                r->resident = 0;
        }
        r->around = at / AROUND;
        r->resident += size + AROUND;
}

static uint64_t checksum(const uint8_t *numbered, size_t n)
{
        return XXH3_64bits(numbered, n);
}

/* The size of the records of the block at `at`; 0: there is no intact block of that number. */
static size_t look(Redo *r, size_t at, uint64_t number)
{
        if (at + HEADER > r->size || memcmp(r->map + at, magic, sizeof magic) != 0)
                return 0;
        Reader in = {r->map + at + sizeof magic, HEADER - sizeof magic, false};
        uint32_t size = take_u32(&in);
        uint64_t sum = take_u64(&in);
        if (size == 0 || size > r->size - at - HEADER || take_u64(&in) != number)
                return 0;
        will_read(r, at, size);
        return checksum(r->map + at + HEADER - 8, size + 8) == sum ? size : 0;
}

static bool is_of_another_version(const Redo *r)
{
        return memcmp(r->map, magic, VERSION_AT) == 0 && r->map[VERSION_AT] != magic[VERSION_AT];
}

static size_t block_size(size_t records)
{
        return (HEADER + records + SECTOR - 1) / SECTOR * SECTOR;
}

/* `block` is the copy in memory of the block at `at`. */
static int walk(const uint8_t *block, size_t at, size_t size, RedoRecord record, void *userdata)
{
        Reader in = {block + HEADER, size, false};
        int x = 0;

        while (in.left > 0 && x >= 0) {
                uint32_t where = (uint32_t) (at + (size_t) (in.data - block));
                Bytes one = take_bytes(&in, take_u32(&in));
                if (in.bad)
                        return -EUCLEAN;
                x = record(userdata, one.data, one.size, where);
        }
        return x;
}

/* A seal stands behind the last block and says that this block was synced: a header without records. The
 * next block is written over it. */
static bool is_seal(Redo *r, size_t at, uint64_t *ret_number)
{
        if (at + HEADER > r->size || memcmp(r->map + at, magic, sizeof magic) != 0)
                return false;
        Reader in = {r->map + at + sizeof magic, HEADER - sizeof magic, false};
        const uint32_t size = take_u32(&in);
        const uint64_t sum = take_u64(&in);
        *ret_number = take_u64(&in);
        return size == 0 && checksum(r->map + at + HEADER - 8, 8) == sum;
}

static uint64_t number_at(const Redo *r, size_t at)
{
        Reader in = {r->map + at + HEADER - 8, 8, false};

        return take_u64(&in);
}

typedef struct Block {
        uint64_t number;
        size_t at, size; /* of its records */
} Block;

typedef struct Blocks {
        Block *all;
        size_t n, allocated;
        uint64_t applied;
        uint64_t synced; /* the highest number that a block or a seal tells */
        bool sealed;     /* the last block of an unbroken series is followed by its seal */
} Blocks;

static int add_block(Blocks *b, uint64_t number, size_t at, size_t size)
{
        b->synced = MAX(b->synced, number);
        if (number <= b->applied)
                return 0;
        if (b->n == b->allocated) {
                const size_t n = MAX(2 * b->allocated, 64u);
                Block *all = reallocarray(b->all, n, sizeof *all);
                if (!all)
                        return -ENOMEM;
                b->all = all;
                b->allocated = n;
        }
        b->all[b->n++] = (Block){number, at, size};
        return 0;
}

/* Adds the unbroken series from the front on. Returns where it ends, or negative errno. */
static ssize_t find_series(Redo *r, Blocks *b)
{
        uint64_t number = number_at(r, 0), sealed;
        size_t size, at = 0;
        int x = 0;

        while (x >= 0 && (size = look(r, at, number)) > 0) {
                x = add_block(b, number, at, size);
                at += block_size(size);
                number++;
        }
        b->sealed = at > 0 && is_seal(r, at, &sealed) && sealed == number - 1;
        return x < 0 ? x : (ssize_t) at;
}

/* The damaged block at `at` says how long it is, and what stands behind it agrees. Otherwise what a record
 * contains could be taken for a block. */
static size_t skip_damaged(Redo *r, size_t at)
{
        Reader in = {r->map + at + 4, 4, false};
        const uint64_t number = number_at(r, at);
        const uint32_t size = take_u32(&in);
        uint64_t sealed;

        if (size == 0 || size > r->size - at - HEADER)
                return SECTOR;
        const size_t next = at + block_size(size);
        return look(r, next, number + 1) > 0 || (is_seal(r, next, &sealed) && sealed == number) ? next - at
                                                                                                : SECTOR;
}

/* Adds every intact block that the tables lack, from `at` on. */
static int find_scattered(Redo *r, size_t at, Blocks *b)
{
        uint64_t number;
        size_t size;
        int x = 0;

        while (x >= 0 && at + HEADER <= r->size) {
                will_read(r, at, SECTOR);
                number = number_at(r, at);
                size = number > b->applied ? look(r, at, number) : 0;
                if (size > 0) {
                        x = add_block(b, number, at, size);
                        at += block_size(size);
                        continue;
                }
                if (number > b->applied && is_seal(r, at, &number))
                        b->synced = MAX(b->synced, number);
                at += number > b->applied && memcmp(r->map + at, magic, sizeof magic) == 0
                                      ? skip_damaged(r, at)
                                      : SECTOR;
        }
        return x;
}

static int by_number(const void *x, const void *y)
{
        const Block *a = x, *b = y;

        return a->number < b->number ? -1 : a->number > b->number;
}

static bool is_front_missing(const Blocks *b)
{
        return b->n > 0 && b->all[0].number != b->applied + 1;
}

static int find_blocks(Redo *r, Blocks *b)
{
        ssize_t end = find_series(r, b);
        int x;

        if (end < 0)
                return (int) end;
        r->end = (size_t) end;
        if (b->sealed && !is_front_missing(b))
                return 0;
        x = find_scattered(r, (size_t) end, b);
        if (x < 0)
                return x;
        if (b->n > 1)
                qsort(b->all, b->n, sizeof *b->all, by_number);
        r->missing = b->synced > b->applied + b->n ? b->synced - b->applied - b->n : 0;
        /* A block of the next number was begun. Nobody knows whether it was synced. */
        const size_t at = r->end;
        r->torn = r->missing == 0 && at + HEADER <= r->size && memcmp(r->map + at, magic, VERSION_AT) == 0 &&
                  number_at(r, at) == MAX(b->synced, b->applied) + 1;
        return 0;
}

/* The kernel may forget what it shows and the disk does not have: even between a look at the checksum of a
 * block and the use of its records. */
static int make_durable(Redo *r, uint64_t applied)
{
        Blocks b = {.applied = applied};
        ssize_t end = find_series(r, &b);

        free(b.all);
        return end < 0 ? (int) end : b.n > 0 ? disk_rewrite(r->file, (uint64_t) end) : 0;
}

int redo_replay(Redo *r, uint64_t applied, RedoRecord record, void *userdata)
{
        Blocks b = {.applied = applied};
        int x;

        r->number = applied;
        x = make_durable(r, applied);
        if (x >= 0)
                x = find_blocks(r, &b);
        /* The front says what version it is; what is not of ours has no intact block. */
        if (x >= 0 && b.synced <= applied && number_at(r, 0) > applied && is_of_another_version(r))
                x = -EPROTO;
        for (size_t i = 0; i < b.n && x >= 0; i++) {
                will_read(r, b.all[i].at, b.all[i].size);
                x = walk(r->map + b.all[i].at, b.all[i].at, b.all[i].size, record, userdata);
        }
        if (x >= 0)
                r->number = MAX(b.synced, applied);
        free(b.all);
        return x;
}

uint64_t redo_missing(const Redo *r)
{
        return r->missing;
}

bool redo_is_torn(const Redo *r)
{
        return r->torn;
}

Buffer *redo_begin(Redo *r)
{
        if (r->block.allocated > BLOCK_KEPT)
                buffer_clear(&r->block);
        buffer_consume(&r->block, buffer_size(&r->block));
        if (!buffer_reserve(&r->block, HEADER))
                return NULL;
        buffer_added(&r->block, HEADER); /* filled in by commit */
        return &r->block;
}

int redo_record_begin(Redo *r)
{
        if (!buffer_reserve(&r->block, RECORD_HEADER))
                return -ENOMEM;
        r->record = buffer_size(&r->block);
        put_u32(&r->block, 0);
        return 0;
}

void redo_record_end(Redo *r)
{
        uint32_t n = htobe32((uint32_t) (buffer_size(&r->block) - r->record - RECORD_HEADER));

        memcpy(r->block.data + r->block.start + r->record, &n, sizeof n);
}

bool redo_is_too_large(const Redo *r)
{
        return buffer_size(&r->block) > r->size - SECTOR;
}

/* `records` bytes of records stand behind the header. */
static void write_header(uint8_t *p, uint64_t block_number, size_t records)
{
        const uint32_t size = htobe32((uint32_t) records);
        const uint64_t number = htobe64(block_number);

        memcpy(p, magic, sizeof magic);
        memcpy(p + 4, &size, sizeof size);
        memcpy(p + 16, &number, sizeof number);
        const uint64_t sum = htobe64(checksum(p + HEADER - 8, records + 8));
        memcpy(p + 8, &sum, sizeof sum);
}

/* Nobody waits for it, and nothing syncs it: without it, damage of the last block looks like a torn one. */
static void seal(Redo *r)
{
        uint8_t header[HEADER];

        write_header(header, r->number, 0);
        (void) !disk_note(r->file, r->at, header, sizeof header);
}

/* From then on no start finds a block at `at`. */
static int erase(Redo *r, size_t at)
{
        static const uint8_t zeroes[HEADER];
        int x;

        if (at + HEADER > r->size)
                return 0;
        x = disk_write(r->file, at, zeroes, sizeof zeroes);
        return x < 0 ? x : disk_sync(r->file);
}

int redo_forget_rest(Redo *r)
{
        return erase(r, r->end);
}

/* The block that could not be committed may be whole all the same. Its operations were refused, so a later
 * start must not find it. If this fails too, nothing more can be done. */
static int fail(Redo *r, int error)
{
        (void) erase(r, r->at);
        return error;
}

int redo_commit(Redo *r)
{
        size_t n = buffer_size(&r->block), whole = block_size(n - HEADER);
        int x;

        if (whole + SECTOR > r->size - r->at)
                return -ENOBUFS;
        uint8_t *padding = buffer_reserve(&r->block, whole - n);
        if (whole > n && !padding)
                return -ENOMEM;
        if (whole > n)
                memset(padding, 0, whole - n);
        write_header(r->block.data + r->block.start, r->number + 1, n - HEADER);
        crash_point("before-redo-write");
        r->number++;
        x = disk_write(r->file, r->at, buffer_peek(&r->block), whole);
        if (x < 0)
                return fail(r, x);
        crash_point("before-redo-sync");
        x = disk_sync(r->file);
        if (x < 0)
                return fail(r, x);
        crash_point("behind-redo-sync");
        r->last = r->at;
        r->records = n - HEADER;
        r->at += whole;
        seal(r);
        return 0;
}

int redo_walk(Redo *r, RedoRecord record, void *userdata)
{
        return walk(buffer_peek(&r->block), r->last, r->records, record, userdata);
}

uint64_t redo_number(const Redo *r)
{
        return r->number;
}

const uint8_t *redo_at(Redo *r, uint32_t at, size_t *ret_size)
{
        Reader in = {r->map + at, RECORD_HEADER, false};

        *ret_size = take_u32(&in);
        will_read(r, at, *ret_size);
        return in.data;
}

static void grow(Redo *r)
{
        size_t size = r->size * 2;

        if (size > SIZE_MAX_LOG || disk_fill(r->file, r->size, size) < 0 || map(r, size) < 0)
                (void) disk_truncate(r->file, r->size); /* then the log keeps its size */
}

void redo_restart(Redo *r)
{
        uint64_t now = now_usec(CLOCK_BOOTTIME);

        if (r->at > r->size / 2 && now - r->since < SOON_USEC && r->size < SIZE_MAX_LOG)
                grow(r);
        r->since = now;
        r->at = r->last = 0;
}
