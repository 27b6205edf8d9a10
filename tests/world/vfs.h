/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* SQLite's files on the fake disk. */

#include "store/disk.h"

/* Returns the name of the VFS; the first call registers it, also as SQLite's default: SQLite's own random
 * numbers come from the default VFS. */
const char *fake_vfs(void);
unsigned fake_vfs_reads(void); /* number since the start of the program */
void fake_vfs_reset(void);     /* its random numbers begin anew */

/* fake_disk_read() reads up to `n` bytes and fills the rest with zeros. Returns the number of
 * bytes read, or -EIO. */
bool fake_disk_has_bytes(const char *path);
uint64_t fake_disk_read_usec(const DiskFile *f); /* so long it takes */
int fake_disk_read(const DiskFile *f, uint64_t at, void *ret, size_t n);

/* The locks of SQLite: many handles read, one of them writes; with an exclusive lock no other has any. The
 * numbers are those of SQLite. 0 or -EBUSY. */
enum { LEVEL_NONE, LEVEL_SHARED, LEVEL_RESERVED, LEVEL_PENDING, LEVEL_EXCLUSIVE };
int fake_disk_lock(DiskFile *f, int level);
bool fake_disk_is_reserved(const DiskFile *f); /* some handle has a lock for writing */
