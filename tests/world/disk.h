/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* store/disk.h in memory. Tests can make operations fail, and can simulate power failures. SQLite's files
 * are on this disk too (vfs.h). A disk keeps its files until fake_disk_reset().
 *
 * Every write, fill, truncation and sync counts as an operation, from any caller; the sync of a directory,
 * too. Operations count from 1.
 *
 * What is not synced may be lost with the power: any sectors, the size of a file, a truncation, and in
 * directories that were not synced the names of files that were made or removed. */

#include "store/disk.h"

#define FAKE_SECTOR 512u

void fake_disk_reset(void);          /* an empty disk without failures; open files become stale */
unsigned fake_disk_operations(void); /* number since the reset or since fake_disk_power_on() */

/* The n-th operation from now fails with -error. `all`: all later ones fail too. 0 as `n`: none fails. */
void fake_disk_fail(unsigned n, int error, bool all);

void fake_disk_fail_notes(unsigned n);   /* the n-th disk_note() from now and all later ones fail; 0: none */
void fake_disk_refuse(const char *path); /* it cannot be opened; lent; NULL: all can */

void fake_disk_spoil(const char *path, size_t at); /* the sector of this byte cannot be read any more */

/* While the disk is full, no file can grow: a write beyond the end of a file fails with -ENOSPC. */
void fake_disk_fill_up(bool full);

/* The power fails at the n-th operation from now. That operation may be done in part. After that everything
 * fails with -EIO until fake_disk_power_on(). 0: no power failure. */
void fake_disk_crash_at(unsigned n);
void fake_disk_crash(void); /* the power fails now */
bool fake_disk_is_crashed(void);

/* The fate of sectors that were written but not synced. */
typedef enum FakeLoss {
        FAKE_LOSE, /* they have their old content */
        FAKE_KEEP, /* they have their new content */
        FAKE_TEAR, /* each has its old or its new content; `seed` decides */
        _FAKE_LOSS_MAX,
} FakeLoss;
void fake_disk_power_on(FakeLoss loss, uint64_t seed); /* open files become stale */

/* The content of a file. The test may read and change it. NULL: there is no such file. */
uint8_t *fake_disk_content(const char *path, size_t *ret_size);

/* For worlds with machines. The first part of a path is the machine; each machine has a disk of its own. `m`
 * NULL: the disk of paths that belong to no machine, to which the functions above apply.
 *
 * A process may be killed before and after each operation, and in the middle of a write or fill of several
 * pages. Locks and open files go with it. */

typedef struct Machine Machine;
typedef struct Process Process;

/* Each write or sync takes so long, drawn anew each time. 0, 0: nothing. */
void disk_set_speed(Machine *m, uint64_t write_min_usec, uint64_t write_max_usec, uint64_t sync_min_usec,
                uint64_t sync_max_usec);
void disk_set_read_speed(Machine *m, uint64_t usec); /* of each read of SQLite */
void disk_hang(Machine *m, bool hang);               /* writes and syncs do not return until it ends */
/* Files grow up to the end of their last page only, then -ENOSPC; a new file is refused, or is empty. */
void disk_set_full(Machine *m, bool full);

typedef enum DiskCall { DISK_WRITE, DISK_SYNC, _DISK_CALL_MAX } DiskCall;
/* The n-th call of this kind from now fails with -EIO; `all`: later ones too. 0: none. What a sync that
 * failed should have written is lost in part, as Linux does it: the pages are clean, but not on the disk.
 * Reads may show the lost content or the old one. */
void disk_fail(Machine *m, DiskCall call, unsigned n, bool all);

void disk_lose_power(Machine *m, FakeLoss loss); /* draws from world_random() */

/* Changes one bit, drawn at random, mostly where something was written, of a file below `directory` whose
 * name ends with `suffix` ("" for any). Returns the path, or NULL if there is no such byte. */
const char *disk_flip_bit(const char *directory, const char *suffix);
/* All files below a directory, as they are now: a clone or a backup. It is on the disk at once. */
void disk_copy(const char *from, const char *to);
void disk_remove_all(const char *directory); /* for ever */
size_t disk_bytes(const char *directory);
/* Another process inherits the lock of a file, by its descriptor (disk_fd()): nobody else can take it until
 * disk_unshare_lock(), even if the handle is closed or its process is gone. */
void disk_share_lock(int fd);
void disk_unshare_lock(int fd);
