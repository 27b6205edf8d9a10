/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/redo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/crash-point.h"
#include "base/fd-util.h"
#include "base/time-util.h"

#define SIZE_MIN      ((size_t) 1 << 20)
#define SIZE_MAX_LOG  ((size_t) 64 << 20)
#define SECTOR        512u
#define SOON_USEC     (2 * USEC_PER_SEC) /* full within so long: too small */
#define HEADER        24u /* magic, size of the records, checksum of number and records, number */
#define RECORD_HEADER 4u  /* size */

/* Of the file no more than this is held in memory by being read; the kernel maps so much around each place.
 */
#define RESIDENT_MAX ((size_t) 1 << 20)
#define AROUND       ((size_t) 64 << 10)

#define BLOCK_KEPT ((size_t) 4 << 20) /* a larger one is given back when the next batch comes */

#define VERSION_AT 3u /* in the magic */

static const uint8_t magic[4] = {'A', 'G', 'R', 2};

struct Redo {
        int fd;
        size_t size; /* of the file */
        const uint8_t *map;
        size_t at;       /* where the next block goes */
        size_t last;     /* where the last one stands */
        uint64_t number; /* of the last one */
        Buffer block;    /* being put together */
        size_t records;  /* their size in the block committed last */
        size_t record;   /* where in it the record begins that is being appended */
        uint64_t since;  /* CLOCK_BOOTTIME of the last restart */
        size_t resident; /* about so much of the map is in memory */
        size_t around;   /* which part of it was read last */
};

static int fill(int fd, size_t from, size_t to)
{
        static const uint8_t zeroes[65536];

        for (size_t at = from; at < to; at += sizeof zeroes) {
                ssize_t n = pwrite(fd, zeroes, sizeof zeroes, (off_t) at);
                if (n != (ssize_t) sizeof zeroes)
                        return n < 0 ? -errno : -ENOSPC;
        }
        return fsync(fd) < 0 ? -errno : 0;
}

static int map(Redo *r, size_t size)
{
        void *p = mmap(NULL, size, PROT_READ, MAP_SHARED, r->fd, 0);

        if (p == MAP_FAILED)
                return -errno;
        if (r->map)
                (void) munmap((void *) r->map, r->size);
        r->map = p;
        r->size = size;
        return 0;
}

int redo_open(const char *path, Redo **ret)
{
        struct stat st;
        int x;

        _cleanup_(redo_freep) Redo *r = calloc(1, sizeof *r);
        if (!r)
                return -ENOMEM;
        r->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (r->fd < 0 || fstat(r->fd, &st) < 0)
                return -errno;
        /* One that was cut off while it grew is filled up; a block never crosses into what was not there. */
        size_t size = MAX((size_t) st.st_size / SIZE_MIN * SIZE_MIN, SIZE_MIN);
        if ((size_t) st.st_size < size) {
                x = fill(r->fd, 0, size);
                if (x >= 0)
                        x = fsync_directory_of(path);
                if (x < 0) {
                        (void) unlink(path);
                        return x;
                }
        }
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
        if (r->map)
                (void) munmap((void *) r->map, r->size);
        (void) close_clear(&r->fd);
        buffer_clear(&r->block);
        free(r);
        return NULL;
}

/* Before `size` bytes at `at` are read. What is dropped is read again where somebody still looks at it. */
static void will_read(Redo *r, size_t at, size_t size)
{
        if (at / AROUND == r->around && size <= AROUND)
                return;
        if (r->resident > RESIDENT_MAX) {
                (void) madvise((void *) r->map, r->size, MADV_DONTNEED);
                r->resident = 0;
        }
        r->around = at / AROUND;
        r->resident += size + AROUND;
}

static uint64_t checksum(const uint8_t *numbered, size_t n)
{
        return XXH3_64bits(numbered, n);
}

/* The size of the records of the block at `at`, or 0 where there is none of that number. */
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

/* `block` is what stands, or will stand, at `at`. */
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
        /* The first block tells where the tables were when it was written; it may be older than what they
         * have now, when a crash came between their sync and the next block. */
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

int redo_commit(Redo *r)
{
        size_t n = buffer_size(&r->block), whole = block_size(n - HEADER);

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
        for (size_t done = 0; done < whole;) {
                ssize_t k = pwrite(r->fd, r->block.data + r->block.start + done, whole - done,
                                (off_t) (r->at + done));
                if (k < 0 && errno == EINTR)
                        continue;
                if (k <= 0)
                        return k < 0 ? -errno : -EIO;
                done += (size_t) k;
        }
        crash_point("before-redo-sync");
        if (fdatasync(r->fd) < 0)
                return -errno;
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

        if (size > SIZE_MAX_LOG || fill(r->fd, r->size, size) < 0 || map(r, size) < 0)
                (void) !ftruncate(r->fd, (off_t) r->size); /* then it stays as it is */
}

void redo_restart(Redo *r)
{
        uint64_t now = now_usec(CLOCK_BOOTTIME);

        if (r->at > r->size / 2 && now - r->since < SOON_USEC && r->size < SIZE_MAX_LOG)
                grow(r);
        r->since = now;
        r->at = r->last = 0;
}
