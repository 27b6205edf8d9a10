/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/page-sums.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "base/str-util.h"
#include "store/disk.h"

#define GROWTH    ((uint64_t) 64 << 10)
#define FIRST     512u /* where the checksums begin */
#define N_HEADERS 2u   /* copies */

/* The same twice: a page is intact if it agrees with one of the two. All zero: nothing is known of it. */
typedef struct Entry {
        uint32_t sum, inverted;
} Entry;

typedef struct Header {
        uint8_t magic[8];
        WalNote note;
        uint64_t sum; /* of what is before it */
} Header;

static const uint8_t magic[8] = "AGSUMS1";

struct PageSums {
        DiskFile *file;
        const uint8_t *map;
        uint64_t size;
        WalNote note;
        char *path;
        bool is_gone; /* there is no file, and none comes back with the power */
};

static int grow(PageSums *p, uint64_t size)
{
        int r = disk_fill(p->file, p->size, size);

        if (r >= 0)
                r = disk_map(p->file, (size_t) size, &p->map);
        if (r >= 0)
                p->size = size;
        return r;
}

static void read_note(PageSums *p)
{
        Header h;

        for (size_t i = 0; i < N_HEADERS; i++) {
                memcpy(&h, p->map + i * sizeof h, sizeof h);
                if (memcmp(h.magic, magic, sizeof magic) == 0 &&
                                h.sum == XXH3_64bits(&h, offsetof(Header, sum)))
                        p->note = h.note;
        }
}

/* Checksums that cannot be kept would be wrong later. */
static void give_up(PageSums *p)
{
        p->file = disk_close(p->file);
        p->size = 0;
}

/* The file must not come back after a loss of power either. */
static int remove_file(PageSums *p)
{
        int r;

        if (p->is_gone)
                return 0;
        disk_remove(p->path);
        r = disk_exists(p->path) ? -EIO : disk_sync_directory(p->path);
        p->is_gone = r >= 0;
        return r;
}

/* -ENOENT: none can be made. */
static int open_file(PageSums *p)
{
        const bool exists = disk_exists(p->path);
        uint64_t size = 0;
        int r = disk_open(p->path, &p->file);

        if (r >= 0)
                r = disk_size(p->file, &size);
        p->size = size / GROWTH * GROWTH;
        if (r >= 0 && p->size > 0)
                return disk_map(p->file, (size_t) p->size, &p->map);
        if (r >= 0)
                r = grow(p, GROWTH);
        /* What there is of it has no checksum yet. */
        return r < 0 && (!exists || p->file) ? -ENOENT : r;
}

/* Without the checksums everything is still there, so a file that the disk cannot read is made anew. */
int page_sums_open(const char *database, PageSums **ret)
{
        _cleanup_(page_sums_closep) PageSums *p = calloc(1, sizeof *p);
        int r;

        *ret = NULL;
        if (!p)
                return -ENOMEM;
        p->path = str_format("%s.sums", database);
        if (!p->path)
                return -ENOMEM;
        r = open_file(p);
        if (r == -EUCLEAN) {
                give_up(p);
                r = remove_file(p);
                p->is_gone = false;
                if (r >= 0)
                        r = open_file(p);
        }
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        read_note(p);
        *ret = TAKE_PTR(p);
        return 0;
}

PageSums *page_sums_close(PageSums *p)
{
        if (!p)
                return NULL;
        disk_close(p->file);
        free(p->path);
        free(p);
        return NULL;
}

static void put(PageSums *p, uint64_t at, const void *data, size_t n)
{
        if (p->file && disk_note(p->file, at, data, n) < 0)
                give_up(p);
}

static uint64_t place(uint64_t page)
{
        return FIRST + page * sizeof(Entry);
}

static Entry entry_of(uint64_t page, const void *data)
{
        const uint32_t sum = (uint32_t) XXH3_64bits_withSeed(data, PAGE_SIZE, page + 1);

        return (Entry){htobe32(sum), htobe32(~sum)};
}

int page_sums_set(PageSums *p, uint64_t page, const void *data)
{
        const Entry e = entry_of(page, data);
        const uint64_t end = place(page + 1);

        if (!p)
                return 0;
        if (p->file && end > p->size && grow(p, (end + GROWTH - 1) / GROWTH * GROWTH) < 0)
                return 0; /* nothing is known of the page */
        put(p, place(page), &e, sizeof e);
        return p->file ? 0 : remove_file(p);
}

/* A file that grows again has pages that were never written. */
void page_sums_cut(PageSums *p, uint64_t n_pages)
{
        static const uint8_t zeroes[FIRST];
        size_t n;

        for (uint64_t at = place(n_pages); p && p->file && at < p->size; at += n) {
                n = (size_t) MIN(p->size - at, sizeof zeroes);
                if (memcmp(p->map + at, zeroes, n) != 0)
                        put(p, at, zeroes, n);
        }
}

bool page_sums_agree(PageSums *p, uint64_t page, const void *data)
{
        const Entry found = entry_of(page, data);
        Entry e = {};

        if (!p || !p->file)
                return true;
        if (place(page + 1) <= p->size)
                memcpy(&e, p->map + place(page), sizeof e);
        if (memcmp(&e, &found, sizeof e) == 0)
                return true;
        if (e.sum != found.sum && e.inverted != found.inverted && (e.sum != 0 || e.inverted != 0))
                return false;
        (void) page_sums_set(p, page, data);
        return true;
}

const WalNote *page_sums_note(const PageSums *p)
{
        static const WalNote nothing;

        return p ? &p->note : &nothing;
}

void page_sums_set_note(PageSums *p, const WalNote *note)
{
        Header h[N_HEADERS] = {{.note = *note}};

        if (!p)
                return;
        p->note = *note;
        memcpy(h->magic, magic, sizeof magic);
        h->sum = XXH3_64bits(h, offsetof(Header, sum));
        for (size_t i = 1; i < N_HEADERS; i++)
                h[i] = h[0];
        put(p, 0, h, sizeof h);
}

int page_sums_sync(PageSums *p)
{
        if (!p)
                return 0;
        return p->file ? disk_sync(p->file) : remove_file(p);
}
