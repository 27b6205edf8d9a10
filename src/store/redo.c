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
        size_t at;       /* where the next block goes */
        size_t last;     /* where the last block begins */
        uint64_t number; /* of the last block */
        Buffer block;    /* the block that is being built */
        size_t records;  /* size of the records in the last block */
        size_t record;   /* where in `block` the record begins that is being appended */
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

int redo_replay(Redo *r, uint64_t applied, RedoRecord record, void *userdata)
{
        size_t size, at = 0;
        int x;

        r->number = applied;
        /* The block at the front says what number to begin with. The tables may have it already: the crash
         * then came after their sync and before the next block. */
        Reader in = {r->map + HEADER - 8, 8, false};
        uint64_t number = take_u64(&in);
        if (number > applied && is_of_another_version(r))
                return -EPROTO;
        while ((size = look(r, at, number)) > 0) {
                x = number > applied ? walk(r->map + at, at, size, record, userdata) : 0;
                if (x < 0)
                        return x;
                r->number = MAX(r->number, number);
                at += block_size(size);
                number++;
        }
        return 0;
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
        return buffer_size(&r->block) > r->size;
}

static void finish(Redo *r, size_t records)
{
        uint8_t *p = r->block.data + r->block.start;
        const uint32_t size = htobe32((uint32_t) records);
        const uint64_t number = htobe64(r->number + 1);

        memcpy(p, magic, sizeof magic);
        memcpy(p + 4, &size, sizeof size);
        memcpy(p + 16, &number, sizeof number);
        const uint64_t sum = htobe64(checksum(p + HEADER - 8, records + 8));
        memcpy(p + 8, &sum, sizeof sum);
}

/* The block that could not be committed may be whole all the same. Its operations were refused, so a later
 * start must not find it. If this fails too, nothing more can be done. */
static int fail(Redo *r, int error)
{
        static const uint8_t zeroes[HEADER];

        if (disk_write(r->file, r->at, zeroes, sizeof zeroes) >= 0)
                (void) disk_sync(r->file);
        return error;
}

int redo_commit(Redo *r)
{
        size_t n = buffer_size(&r->block), whole = block_size(n - HEADER);
        int x;

        if (whole > r->size - r->at)
                return -ENOBUFS;
        uint8_t *padding = buffer_reserve(&r->block, whole - n);
        if (whole > n && !padding)
                return -ENOMEM;
        if (whole > n)
                memset(padding, 0, whole - n);
        finish(r, n - HEADER);
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
