/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world/disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/str-util.h"
#include "world/vfs.h"

#define FILE_MAX_SIZE ((size_t) 160 << 20)

/* A file reserves its memory at once, so the memory never moves while it is mapped. */
typedef struct File File;
struct File {
        char *path; /* NULL: it has no name, or was removed */
        uint64_t inode;
        uint8_t *data, *synced; /* the content that reads see; the content that survives a power failure */
        size_t size, synced_size;
        bool *dirty;     /* by sector */
        size_t from, to; /* sectors outside of these are clean */
        unsigned n_handles;
        DiskFile *locked_by;
        File *next;
};

struct DiskFile {
        File *file;
        unsigned generation;
};

static struct {
        File *files;
        unsigned generation; /* if it changes, older handles are stale */
        unsigned n;
        unsigned fail_at, crash_at;
        int error;
        bool fail_all, full, crashed;
        uint64_t n_inodes;
} disk;

static void *reserve(size_t n)
{
        void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (p == MAP_FAILED)
                abort();
        return p;
}

static File *file_new(const char *path)
{
        File *f = calloc(1, sizeof *f);

        f->path = path ? strdup(path) : NULL;
        f->inode = ++disk.n_inodes;
        f->data = reserve(FILE_MAX_SIZE);
        f->synced = reserve(FILE_MAX_SIZE);
        f->dirty = reserve(FILE_MAX_SIZE / FAKE_SECTOR);
        f->from = SIZE_MAX;
        f->next = disk.files;
        disk.files = f;
        return f;
}

static void file_free(File *f)
{
        for (File **at = &disk.files; *at; at = &(*at)->next)
                if (*at == f) {
                        *at = f->next;
                        break;
                }
        (void) munmap(f->data, FILE_MAX_SIZE);
        (void) munmap(f->synced, FILE_MAX_SIZE);
        (void) munmap(f->dirty, FILE_MAX_SIZE / FAKE_SECTOR);
        free(f->path);
        free(f);
}

static File *find(const char *path)
{
        for (File *f = disk.files; f; f = f->next)
                if (f->path && str_equal(f->path, path))
                        return f;
        return NULL;
}

typedef enum Fate { DONE, FAILED, CUT_OFF } Fate;

/* Counts an operation and decides its fate. *ret_r: the result that the operation must return. */
static Fate begin(const DiskFile *f, int *ret_r)
{
        *ret_r = -EIO;
        if (disk.crashed || f->generation != disk.generation)
                return FAILED;
        disk.n++;
        if (disk.n == disk.crash_at) {
                disk.crashed = true;
                return CUT_OFF;
        }
        if (disk.fail_at > 0 && (disk.n == disk.fail_at || (disk.fail_all && disk.n > disk.fail_at))) {
                *ret_r = -disk.error;
                return FAILED;
        }
        *ret_r = 0;
        return DONE;
}

static void change(File *f, uint64_t at, const void *data, size_t n)
{
        size_t first = at / FAKE_SECTOR, end = (at + n + FAKE_SECTOR - 1) / FAKE_SECTOR;

        if (at + n > FILE_MAX_SIZE)
                abort();
        memcpy(f->data + at, data, n);
        memset(f->dirty + first, true, end - first);
        f->from = MIN(f->from, first);
        f->to = MAX(f->to, end);
        f->size = MAX(f->size, at + n);
}

static void put_down(File *f, size_t sector)
{
        memcpy(f->synced + sector * FAKE_SECTOR, f->data + sector * FAKE_SECTOR, FAKE_SECTOR);
        f->synced_size = MAX(f->synced_size, MIN(f->size, (sector + 1) * FAKE_SECTOR));
}

static void clean(File *f)
{
        if (f->from < f->to)
                memset(f->dirty + f->from, 0, f->to - f->from);
        f->from = SIZE_MAX;
        f->to = 0;
}

static void sync_file(File *f)
{
        for (size_t i = f->from; i < f->to; i++)
                if (f->dirty[i])
                        put_down(f, i);
        f->synced_size = f->size;
        clean(f);
}

/* A write that is cut off changes `data` only. fake_disk_power_on() decides which sectors survive. */
static int write_bytes(DiskFile *f, uint64_t at, const void *data, size_t n)
{
        int r;
        Fate fate = begin(f, &r);

        if (fate == DONE && disk.full && at + n > f->file->size)
                return -ENOSPC;
        if (fate != FAILED)
                change(f->file, at, data, n);
        return r;
}

int disk_open(const char *path, DiskFile **ret)
{
        File *f = path ? find(path) : NULL;

        if (disk.crashed)
                return -EIO;
        DiskFile *handle = calloc(1, sizeof *handle);
        handle->file = f ? f : file_new(path);
        handle->file->n_handles++;
        handle->generation = disk.generation;
        *ret = handle;
        return 0;
}

DiskFile *disk_close(DiskFile *f)
{
        if (!f)
                return NULL;
        if (f->generation == disk.generation) {
                if (f->file->locked_by == f)
                        f->file->locked_by = NULL;
                if (--f->file->n_handles == 0 && !f->file->path)
                        file_free(f->file);
        }
        free(f);
        return NULL;
}

int disk_lock(DiskFile *f, uint64_t patience_usec)
{
        if (f->file->locked_by && f->file->locked_by != f)
                return -EBUSY;
        f->file->locked_by = f;
        return 0;
}

int disk_fd(const DiskFile *f)
{
        return -1;
}

int disk_identity(const DiskFile *f, uint64_t *ret_device, uint64_t *ret_inode)
{
        *ret_device = 1;
        *ret_inode = f->file->inode;
        return 0;
}

int disk_size(const DiskFile *f, uint64_t *ret)
{
        if (disk.crashed || f->generation != disk.generation)
                return -EIO;
        *ret = f->file->size;
        return 0;
}

/* The memory beyond the end is zero already, so only the size changes. */
int disk_fill(DiskFile *f, uint64_t from, uint64_t to)
{
        int r;
        Fate fate = begin(f, &r);

        if (fate == DONE && disk.full && to > f->file->size)
                return -ENOSPC;
        if (fate != DONE)
                return r;
        if (from < f->file->size) {
                static const uint8_t zeroes[FAKE_SECTOR];
                for (uint64_t at = from; at < f->file->size; at += FAKE_SECTOR)
                        change(f->file, at, zeroes, FAKE_SECTOR);
        }
        f->file->size = MAX(f->file->size, to);
        return disk_sync(f);
}

int disk_truncate(DiskFile *f, uint64_t size)
{
        File *file = f->file;
        int r;

        if (begin(f, &r) != DONE)
                return r;
        if (size < file->size) {
                memset(file->data + size, 0, file->size - size);
                if (size < file->synced_size)
                        memset(file->synced + size, 0, file->synced_size - size);
        }
        file->size = size;
        file->synced_size = MIN(file->synced_size, size);
        return 0;
}

int disk_write(DiskFile *f, uint64_t at, const void *data, size_t n)
{
        return write_bytes(f, at, data, n);
}

int disk_sync(DiskFile *f)
{
        int r;

        if (begin(f, &r) == DONE)
                sync_file(f->file);
        return r;
}

int disk_map(DiskFile *f, size_t size, const uint8_t **ret)
{
        if (disk.crashed || f->generation != disk.generation)
                return -EIO;
        *ret = f->file->data;
        return 0;
}

void disk_release_pages(DiskFile *f)
{
}

bool disk_exists(const char *path)
{
        return find(path) != NULL;
}

void disk_remove(const char *path)
{
        File *f = find(path);

        if (!f || disk.crashed)
                return;
        free(f->path);
        f->path = NULL;
        if (f->n_handles == 0)
                file_free(f);
}

int disk_sync_directory(const char *path)
{
        return disk.crashed ? -EIO : 0;
}

const char *disk_vfs(void)
{
        return fake_vfs();
}

int fake_disk_read(DiskFile *f, uint64_t at, void *ret, size_t n)
{
        if (disk.crashed || f->generation != disk.generation)
                return -EIO;
        size_t there = at < f->file->size ? MIN(n, f->file->size - at) : 0;
        memset(ret, 0, n);
        if (there > 0)
                memcpy(ret, f->file->data + at, there);
        return (int) there;
}

static void make_stale(void)
{
        disk.generation++;
        disk.n = disk.fail_at = disk.crash_at = 0;
        disk.crashed = disk.full = false;
        for (File *f = disk.files, *next; f; f = next) {
                next = f->next;
                f->n_handles = 0;
                f->locked_by = NULL;
                if (!f->path)
                        file_free(f);
        }
}

void fake_disk_reset(void)
{
        while (disk.files)
                file_free(disk.files);
        make_stale();
}

unsigned fake_disk_operations(void)
{
        return disk.n;
}

void fake_disk_fail(unsigned n, int error, bool all)
{
        disk.fail_at = n > 0 ? disk.n + n : 0;
        disk.error = error;
        disk.fail_all = all;
}

void fake_disk_fill_up(bool full)
{
        disk.full = full;
}

void fake_disk_crash_at(unsigned n)
{
        disk.crash_at = n > 0 ? disk.n + n : 0;
}

void fake_disk_crash(void)
{
        disk.crashed = true;
}

bool fake_disk_is_crashed(void)
{
        return disk.crashed;
}

static uint64_t next_random(uint64_t *seed)
{
        uint64_t x = *seed += UINT64_C(0x9e3779b97f4a7c15);

        x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
        return x ^ x >> 31;
}

void fake_disk_power_on(FakeLoss loss, uint64_t seed)
{
        for (File *f = disk.files; f; f = f->next) {
                for (size_t i = f->from; i < f->to; i++) {
                        if (!f->dirty[i])
                                continue;
                        if (loss == FAKE_KEEP || (loss == FAKE_TEAR && next_random(&seed) % 2 == 0))
                                put_down(f, i);
                        else
                                memcpy(f->data + i * FAKE_SECTOR, f->synced + i * FAKE_SECTOR, FAKE_SECTOR);
                }
                f->size = f->synced_size;
                clean(f);
        }
        make_stale();
}

uint8_t *fake_disk_content(const char *path, size_t *ret_size)
{
        File *f = find(path);

        if (!f)
                return NULL;
        *ret_size = f->size;
        return f->data;
}

void disk_lose_power(Machine *m, FakeLoss loss)
{
}

void disk_keep_locks(Process *p, uint64_t usec)
{
}
