/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <utlist.h>

#include "world/disk-inside.h"
#include "world/mix.h"

#define SPARE_MAX      64u
#define SPARE_USED_MAX ((size_t) 4 << 20)

File *files;
Name *names;

/* Memory of files that are gone, all zeros: mapping it anew costs a page fault for each page. */
static struct {
        uint8_t *data;
        uint32_t *undo_at;
} spare[SPARE_MAX];
static unsigned n_spare, n_files;

static void *reserve(size_t n)
{
        void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (p == MAP_FAILED)
                abort();
        return p;
}

/* A file system gives the lowest number that is free, or soon comes back to it: a file may have the inode of
 * one that was removed. */
static uint64_t new_inode(Disk *d)
{
        unsigned lowest = 0;
        uint64_t inode;

        if (d->n_free_inodes == 0 || world_random(2) == 0)
                return ++d->n_inodes;
        for (unsigned i = 1; i < d->n_free_inodes; i++)
                if (d->free_inodes[i] < d->free_inodes[lowest])
                        lowest = i;
        inode = d->free_inodes[lowest];
        d->free_inodes[lowest] = d->free_inodes[--d->n_free_inodes];
        return inode;
}

File *file_new(Disk *d)
{
        File *f = calloc(1, sizeof *f);

        if (!f)
                abort();
        f->disk = d;
        f->number = n_files++;
        f->inode = new_inode(d);
        f->cut = SIZE_MAX;
        if (n_spare > 0) {
                n_spare--;
                f->data = spare[n_spare].data;
                f->undo_at = spare[n_spare].undo_at;
        } else {
                f->data = reserve(FILE_MAX_SIZE);
                f->undo_at = reserve(FILE_MAX_SIZE / FAKE_SECTOR * sizeof *f->undo_at);
        }
        DL_APPEND(files, f);
        return f;
}

static void forget_undo(File *f)
{
        for (size_t i = 0; i < f->n_undo; i++)
                f->undo_at[f->undo[i].sector] = 0;
        f->n_undo = f->n_lost = 0;
}

static void file_free(File *f)
{
        Disk *d = f->disk;

        DL_DELETE(files, f);
        if (d->machine && d->n_free_inodes < INODES_KEPT)
                d->free_inodes[d->n_free_inodes++] = f->inode;
        if (n_spare < SPARE_MAX && f->used <= SPARE_USED_MAX) {
                memset(f->data, 0, f->used);
                forget_undo(f);
                spare[n_spare].data = f->data;
                spare[n_spare++].undo_at = f->undo_at;
        } else {
                (void) munmap(f->data, FILE_MAX_SIZE);
                (void) munmap(f->undo_at, FILE_MAX_SIZE / FAKE_SECTOR * sizeof *f->undo_at);
        }
        free(f->undo);
        free(f);
}

void file_unused(File *f)
{
        if (f && f->n_handles == 0 && f->n_names == 0)
                file_free(f);
}

static void set_used(File *f, size_t end)
{
        f->used = MAX(f->used, MIN(end, FILE_MAX_SIZE));
}

/* Keeps what the disk has of the sectors before they change. */
static void keep_old(File *f, size_t first, size_t end)
{
        for (size_t i = first; i < end; i++) {
                if (f->undo_at[i])
                        continue;
                if (f->n_undo == f->undo_allocated) {
                        f->undo_allocated = MAX(2 * f->undo_allocated, (size_t) 64);
                        f->undo = realloc(f->undo, f->undo_allocated * sizeof *f->undo);
                        if (!f->undo)
                                abort();
                }
                Undo *u = &f->undo[f->n_undo++];
                u->sector = (uint32_t) i;
                u->state = UNDO_DIRTY;
                if (i * FAKE_SECTOR < f->used)
                        memcpy(u->old, f->data + i * FAKE_SECTOR, FAKE_SECTOR);
                else
                        memset(u->old, 0, FAKE_SECTOR);
                f->undo_at[i] = (uint32_t) f->n_undo;
        }
        if (f->n_lost == 0)
                return;
        /* The kernel writes whole pages, so what it once failed to write gets another chance. */
        first = first / SECTORS_PER_PAGE * SECTORS_PER_PAGE;
        end = (end + SECTORS_PER_PAGE - 1) / SECTORS_PER_PAGE * SECTORS_PER_PAGE;
        for (size_t i = first; i < end; i++)
                if (f->undo_at[i] && f->undo[f->undo_at[i] - 1].state == UNDO_LOST) {
                        f->undo[f->undo_at[i] - 1].state = UNDO_DIRTY;
                        f->n_lost--;
                }
}

void file_change(File *f, uint64_t at, const void *data, size_t n)
{
        if (n == 0)
                return;
        if (at + n > FILE_MAX_SIZE)
                abort();
        keep_old(f, at / FAKE_SECTOR, (at + n + FAKE_SECTOR - 1) / FAKE_SECTOR);
        memcpy(f->data + at, data, n);
        f->size = MAX(f->size, at + n);
        set_used(f, at + n);
}

/* The bytes from `size` on become zero. */
static void clear_from(File *f, size_t size)
{
        if (f->used > size) {
                memset(f->data + size, 0, f->used - size);
                f->used = size;
        }
}

void file_truncate(File *f, uint64_t size)
{
        if (size < f->size) {
                if (f->used > size)
                        keep_old(f, size / FAKE_SECTOR, (f->used + FAKE_SECTOR - 1) / FAKE_SECTOR);
                clear_from(f, size);
                f->cut = MIN(f->cut, size);
        }
        f->size = size;
}

/* Drops what is GONE. */
static void compact(File *f)
{
        size_t kept = 0;

        for (size_t i = 0; i < f->n_undo; i++) {
                const Undo *u = &f->undo[i];

                f->undo_at[u->sector] = 0;
                if (u->state == UNDO_GONE)
                        continue;
                if (kept < i)
                        f->undo[kept] = *u;
                f->undo_at[u->sector] = (uint32_t) ++kept;
        }
        f->n_undo = kept;
}

void file_sync(File *f)
{
        f->synced_size = f->size;
        f->cut = SIZE_MAX;
        if (f->n_lost == 0) {
                forget_undo(f);
                return;
        }
        for (size_t i = 0; i < f->n_undo; i++)
                if (f->undo[i].state == UNDO_DIRTY)
                        f->undo[i].state = UNDO_GONE;
        compact(f);
}

void file_fail_sync(File *f)
{
        for (size_t i = 0; i < f->n_undo; i++) {
                Undo *u = &f->undo[i];

                if (u->state != UNDO_DIRTY)
                        continue;
                u->state = world_random(2) == 0 ? UNDO_LOST : UNDO_GONE;
                f->n_lost += u->state == UNDO_LOST;
                if (u->state == UNDO_GONE && f->cut == SIZE_MAX)
                        f->synced_size = MAX(f->synced_size, MIN(f->size, (u->sector + 1) * FAKE_SECTOR));
        }
        compact(f);
}

void file_rewrite(File *f, uint64_t size)
{
        for (size_t i = 0; i < f->n_undo; i++)
                if (f->undo[i].state == UNDO_LOST && f->undo[i].sector * (uint64_t) FAKE_SECTOR < size) {
                        f->undo[i].state = UNDO_DIRTY;
                        f->n_lost--;
                }
}

static void put_back(File *f, const Undo *u)
{
        memcpy(f->data + u->sector * FAKE_SECTOR, u->old, FAKE_SECTOR);
        set_used(f, (u->sector + (size_t) 1) * FAKE_SECTOR);
}

void file_evict(File *f)
{
        if (f->n_lost == 0)
                return;
        for (size_t i = 0; i < f->n_undo; i++)
                if (f->undo[i].state == UNDO_LOST) {
                        put_back(f, &f->undo[i]);
                        f->undo[i].state = UNDO_GONE;
                }
        compact(f);
        f->n_lost = 0;
        clear_from(f, f->size);
}

/* Whether something that is not on the disk yet gets there. */
static bool is_kept(FakeLoss loss, uint64_t *seed)
{
        return loss == FAKE_KEEP || (loss == FAKE_TEAR && splitmix64(seed) % 2 == 0);
}

void file_lose_power(File *f, FakeLoss loss, uint64_t *seed)
{
        bool is_cut = f->cut == SIZE_MAX || is_kept(loss, seed);
        size_t size = is_cut ? MIN(f->synced_size, f->cut) : f->synced_size;

        for (size_t i = 0; i < f->n_undo; i++) {
                const Undo *u = &f->undo[i];
                size_t end = (u->sector + (size_t) 1) * FAKE_SECTOR;

                if (u->state == UNDO_DIRTY && is_kept(loss, seed) && (is_cut || end <= f->cut))
                        size = MAX(size, MIN(f->size, end));
                else
                        put_back(f, u);
        }
        /* The size may be on the disk without the data. */
        if (is_cut && size < f->size && is_kept(loss, seed))
                size = loss == FAKE_KEEP ? f->size : size + splitmix64(seed) % (f->size - size + 1);
        f->size = f->synced_size = size;
        f->cut = SIZE_MAX;
        forget_undo(f);
        clear_from(f, size);
}

/* Names. */

static Name *name_get(const char *path)
{
        Name *n;

        HASH_FIND_STR(names, path, n);
        return n;
}

File *name_find(const char *path)
{
        const Name *n = name_get(path);

        return n ? n->now : NULL;
}

static void point(File **at, File *f)
{
        File *was = *at;

        if (f)
                f->n_names++;
        *at = f;
        if (was && --was->n_names == 0)
                file_unused(was);
}

static void forget_if_empty(Name *n)
{
        if (n->now || n->durable)
                return;
        HASH_DEL(names, n);
        free(n->path);
        free(n);
}

void name_set(const char *path, File *f, bool durable)
{
        Name *n = name_get(path);

        if (!n) {
                n = calloc(1, sizeof *n);
                if (!n || !(n->path = strdup(path)))
                        abort();
                n->disk = disk_of_path(path);
                HASH_ADD_KEYPTR(hh, names, n->path, strlen(n->path), n);
        }
        point(&n->now, f);
        if (durable)
                point(&n->durable, f);
        forget_if_empty(n);
}

void name_remove(const char *path)
{
        if (name_get(path))
                name_set(path, NULL, false);
}

static size_t directory_length(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash ? (size_t) (slash - path) : 0;
}

void name_sync_directory(const char *path)
{
        size_t length = directory_length(path);
        Name *n, *next;

        HASH_ITER(hh, names, n, next)
                if (n->now != n->durable && directory_length(n->path) == length &&
                                memcmp(n->path, path, length) == 0) {
                        point(&n->durable, n->now);
                        forget_if_empty(n);
                }
}

void name_lose_power(Disk *d, FakeLoss loss, uint64_t *seed)
{
        Name *n, *next;

        HASH_ITER(hh, names, n, next)
                if (n->disk == d && n->now != n->durable) {
                        if (is_kept(loss, seed))
                                point(&n->durable, n->now);
                        else
                                point(&n->now, n->durable);
                        forget_if_empty(n);
                }
}

bool name_is_below(const Name *n, const char *directory)
{
        size_t length = strlen(directory);

        return strncmp(n->path, directory, length) == 0 && (n->path[length] == '/' || length == 0);
}

void disk_forget(void)
{
        Name *n, *next;
        File *f, *following;

        HASH_ITER(hh, names, n, next) {
                HASH_DEL(names, n);
                free(n->path);
                free(n);
        }
        DL_FOREACH_SAFE(files, f, following)
                file_free(f);
        n_files = 0;
}
