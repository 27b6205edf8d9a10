/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the disk share. disk.c has the calls of a daemon, disk-file.c the files and their names,
 * disk-fault.c what a test does to a disk.
 *
 * A file keeps its present content, and for each sector that was changed since the last sync the old one. So
 * a write costs one copy more, a sync next to nothing, and a loss of power puts the old sectors back. */

#include <uthash.h>

#include "world/process.h"
#include "world/vfs.h"

#define FILE_MAX_SIZE    ((size_t) 160 << 20)
#define PAGE             ((size_t) 4096)
#define SECTORS_PER_PAGE (PAGE / FAKE_SECTOR)
#define DISKS_MAX        16u
#define INODES_KEPT      32u

typedef struct Disk Disk;
struct Disk {
        Machine *machine;
        unsigned generation; /* if it changes, older handles are stale */
        unsigned n;
        unsigned fail_at, crash_at;
        int error;
        bool fail_all, full, crashed, hangs;
        struct {
                uint64_t min_usec, max_usec;
                unsigned n, fail_at;
                bool fail_all;
        } calls[_DISK_CALL_MAX];
        uint64_t read_usec;
        uint64_t n_inodes, free_inodes[INODES_KEPT];
        unsigned n_free_inodes;
};

Disk *disk_of_machine(Machine *m);
Disk *disk_of_path(const char *path);

typedef enum UndoState {
        UNDO_DIRTY, /* the next sync writes the sector */
        UNDO_LOST,  /* its page is clean, but a sync failed to write it */
        UNDO_GONE,  /* its new content is on the disk */
} UndoState;

/* What the disk has of a sector that was changed. */
typedef struct Undo {
        uint32_t sector;
        UndoState state;
        uint8_t old[FAKE_SECTOR];
} Undo;

/* A file reserves its memory at once, so the memory never moves while it is mapped. */
typedef struct File File;
struct File {
        Disk *disk;
        unsigned number; /* of all files of the world */
        uint64_t inode;
        uint8_t *data; /* what reads see; zeros from `size` on */
        size_t size;
        size_t used; /* all bytes from here on are zero, and their memory was never touched */

        Undo *undo;
        size_t n_undo, undo_allocated, n_lost;
        uint32_t *undo_at; /* by sector: its index in `undo`, plus one; 0: it is on the disk */
        size_t synced_size;
        size_t cut; /* the smallest size to which it was truncated since the last sync */

        size_t bad; /* the sector with this byte cannot be read; plus one; 0: none */
        unsigned n_handles, n_names;
        DiskFile *locked_by;
        unsigned n_lock_shares; /* processes that inherited the lock */
        unsigned n_readers;     /* handles with any lock of SQLite */
        DiskFile *writer;       /* the handle with a lock for writing */
        File *prev, *next;
};

/* The handle of a daemon. */
struct DiskFile {
        Owned owned;
        File *file;
        Disk *disk;
        unsigned generation;
        int level; /* of SQLite's lock */
};

/* A name is durable after a sync of its directory. */
typedef struct Name Name;
struct Name {
        char *path;
        Disk *disk;
        File *now, *durable; /* NULL: no file has this name */
        UT_hash_handle hh;
};

extern File *files;
extern Name *names; /* in the order in which they were added */

File *file_new(Disk *d);
void file_unused(File *f); /* frees it if it has neither a name nor a handle */
void file_change(File *f, uint64_t at, const void *data, size_t n);
void file_truncate(File *f, uint64_t size);
void file_sync(File *f);
void file_fail_sync(File *f); /* draws what is lost */
/* What a failed sync has lost of the first bytes is written once more. */
void file_rewrite(File *f, uint64_t size);
void file_evict(File *f); /* what a failed sync has lost is no longer to be seen either */
void file_lose_power(File *f, FakeLoss loss, uint64_t *seed);

File *name_find(const char *path); /* NULL: there is none */
void name_set(const char *path, File *f, bool durable);
void name_remove(const char *path);
void name_sync_directory(const char *path); /* of the directory that has `path` */
void name_lose_power(Disk *d, FakeLoss loss, uint64_t *seed);
bool name_is_below(const Name *n, const char *directory);

bool file_is_bad(const File *f, uint64_t at, uint64_t n); /* it cannot be read */
bool note_fails(void);
bool is_refused(const char *path);

void disk_forget(void); /* all files and names */
