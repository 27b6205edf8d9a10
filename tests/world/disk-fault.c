/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "world/disk-inside.h"

#define PATH_SIZE 512u

static Disk disks[DISKS_MAX]; /* the first is of no machine */
static unsigned n_disks = 1;

Disk *disk_of_machine(Machine *m)
{
        if (!m)
                return &disks[0];
        for (unsigned i = 1; i < n_disks; i++)
                if (disks[i].machine == m)
                        return &disks[i];
        if (n_disks == DISKS_MAX)
                abort();
        disks[n_disks].machine = m;
        return &disks[n_disks++];
}

Disk *disk_of_path(const char *path)
{
        return disk_of_machine(machine_of_path(path));
}

static void make_stale(Disk *d)
{
        File *f, *next;

        d->generation++;
        DL_FOREACH_SAFE(files, f, next)
                if (f->disk == d) {
                        f->n_handles = f->n_readers = 0;
                        f->locked_by = f->writer = NULL;
                        f->n_lock_shares = 0;
                        file_unused(f);
                }
}

static void lose_power(Disk *d, FakeLoss loss, uint64_t seed)
{
        File *f;

        DL_FOREACH(files, f)
                if (f->disk == d)
                        file_lose_power(f, loss, &seed);
        /* Names may be the last that hold a file. */
        make_stale(d);
        name_lose_power(d, loss, &seed);
}

void fake_disk_reset(void)
{
        HOST_SCOPE;

        disk_forget();
        for (unsigned i = 0; i < DISKS_MAX; i++)
                disks[i] = (Disk){.generation = disks[i].generation + 1};
        n_disks = 1;
        fake_vfs_reset();
}

unsigned fake_disk_operations(void)
{
        return disks[0].n;
}

void fake_disk_fail(unsigned n, int error, bool all)
{
        disks[0].fail_at = n > 0 ? disks[0].n + n : 0;
        disks[0].error = error;
        disks[0].fail_all = all;
}

void fake_disk_spoil(const char *path, size_t at)
{
        name_find(path)->bad = at + 1;
}

bool file_is_bad(const File *f, uint64_t at, uint64_t n)
{
        return f->bad > 0 && at < (f->bad - 1) / FAKE_SECTOR * FAKE_SECTOR + FAKE_SECTOR &&
               (n > f->size || at + n > (f->bad - 1) / FAKE_SECTOR * FAKE_SECTOR);
}

int fake_disk_read(const DiskFile *f, uint64_t at, void *ret, size_t n)
{
        if (f->disk->crashed || f->generation != f->disk->generation || file_is_bad(f->file, at, n))
                return -EIO;
        size_t there = at < f->file->size ? MIN(n, f->file->size - at) : 0;
        if (there > 0)
                memcpy(ret, f->file->data + at, there);
        memset((uint8_t *) ret + there, 0, n - there);
        return (int) there;
}

int disk_read(const DiskFile *f, uint64_t at, void *ret, size_t n)
{
        int r = fake_disk_read(f, at, ret, n);

        return r < 0 ? -EUCLEAN : 0;
}

static unsigned notes_left; /* plus one; 0: no limit */
static const char *refused;

void fake_disk_fail_notes(unsigned n)
{
        notes_left = n;
}

bool note_fails(void)
{
        if (notes_left > 1)
                notes_left--;
        else
                return notes_left == 1;
        return false;
}

void fake_disk_refuse(const char *path)
{
        refused = path;
}

bool is_refused(const char *path)
{
        return refused && path && strcmp(path, refused) == 0;
}

void fake_disk_fill_up(bool full)
{
        disks[0].full = full;
}

void fake_disk_crash_at(unsigned n)
{
        disks[0].crash_at = n > 0 ? disks[0].n + n : 0;
}

void fake_disk_crash(void)
{
        disks[0].crashed = true;
}

bool fake_disk_is_crashed(void)
{
        return disks[0].crashed;
}

void fake_disk_power_on(FakeLoss loss, uint64_t seed)
{
        HOST_SCOPE;

        lose_power(&disks[0], loss, seed);
        disks[0] = (Disk){.generation = disks[0].generation, .n_inodes = disks[0].n_inodes};
}

uint8_t *fake_disk_content(const char *path, size_t *ret_size)
{
        File *f = name_find(path);

        if (!f)
                return NULL;
        *ret_size = f->size;
        f->used = MAX(f->used, f->size); /* the test may write there */
        return f->data;
}

void disk_set_speed(Machine *m, uint64_t write_min_usec, uint64_t write_max_usec, uint64_t sync_min_usec,
                uint64_t sync_max_usec)
{
        Disk *d = disk_of_machine(m);

        d->calls[DISK_WRITE].min_usec = write_min_usec;
        d->calls[DISK_WRITE].max_usec = write_max_usec;
        d->calls[DISK_SYNC].min_usec = sync_min_usec;
        d->calls[DISK_SYNC].max_usec = sync_max_usec;
}

void disk_set_read_speed(Machine *m, uint64_t usec)
{
        disk_of_machine(m)->read_usec = usec;
}

uint64_t fake_disk_read_usec(const DiskFile *f)
{
        return f->disk->read_usec;
}

void disk_hang(Machine *m, bool hang)
{
        disk_of_machine(m)->hangs = hang;
}

void disk_set_full(Machine *m, bool full)
{
        disk_of_machine(m)->full = full;
}

void disk_fail(Machine *m, DiskCall call, unsigned n, bool all)
{
        Disk *d = disk_of_machine(m);

        d->calls[call].fail_at = n > 0 ? d->calls[call].n + n : 0;
        d->calls[call].fail_all = all;
}

void disk_lose_power(Machine *m, FakeLoss loss)
{
        HOST_SCOPE;

        lose_power(disk_of_machine(m), loss, world_random(UINT64_MAX));
}

/* Mostly a byte that was once written: a log is large and mostly empty. */
static size_t draw_byte(const File *f)
{
        size_t used = MIN(f->used, f->size);

        return used > 0 && world_random(8) > 0 ? world_random(used) : world_random(f->size);
}

static void flip(File *f, size_t at, unsigned bit)
{
        uint32_t undo = f->undo_at[at / FAKE_SECTOR];

        f->data[at] ^= (uint8_t) (1u << bit);
        f->used = MAX(f->used, at + 1);
        if (undo > 0)
                f->undo[undo - 1].old[at % FAKE_SECTOR] ^= (uint8_t) (1u << bit);
}

static bool has_suffix(const char *path, const char *suffix)
{
        size_t n = strlen(path), k = strlen(suffix);

        return n >= k && strcmp(path + n - k, suffix) == 0;
}

const char *disk_flip_bit(const char *directory, const char *suffix)
{
        uint64_t count = 0, chosen;

        for (const Name *n = names; n; n = n->hh.next)
                count += n->now && n->now->size > 0 && name_is_below(n, directory) &&
                         has_suffix(n->path, suffix);
        if (count == 0)
                return NULL;
        chosen = world_random(count);
        for (const Name *n = names; n; n = n->hh.next)
                if (n->now && n->now->size > 0 && name_is_below(n, directory) &&
                                has_suffix(n->path, suffix) && chosen-- == 0) {
                        size_t at = draw_byte(n->now);
                        flip(n->now, at, (unsigned) world_random(8));
                        return n->path;
                }
        return NULL;
}

static void copy_file(const File *f, const char *to)
{
        File *copy = file_new(disk_of_path(to));

        file_change(copy, 0, f->data, MIN(f->size, f->used));
        copy->size = f->size;
        file_sync(copy);
        name_set(to, copy, true);
}

void disk_copy(const char *from, const char *to)
{
        char path[PATH_SIZE];
        Name *n, *next;
        HOST_SCOPE;

        HASH_ITER(hh, names, n, next)
                if (n->now && name_is_below(n, from) && !name_is_below(n, to)) {
                        int k = snprintf(path, sizeof path, "%s%s", to, n->path + strlen(from));
                        if (k < 0 || (size_t) k >= sizeof path)
                                abort();
                        copy_file(n->now, path);
                }
}

void disk_remove_all(const char *directory)
{
        Name *n, *next;
        HOST_SCOPE;

        HASH_ITER(hh, names, n, next)
                if (name_is_below(n, directory))
                        name_set(n->path, NULL, true);
}

size_t disk_bytes(const char *directory)
{
        size_t sum = 0;

        for (const Name *n = names; n; n = n->hh.next)
                if (n->now && name_is_below(n, directory))
                        sum += n->now->size;
        return sum;
}
