/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* SQLite's files on the fake disk. */

#include "store/disk.h"

const char *fake_vfs(void); /* returns the name of the VFS; the first call registers it */

/* In disk.c. Reads up to `n` bytes and fills the rest with zeros. Returns the number of bytes read, or
 * -EIO. */
int fake_disk_read(DiskFile *f, uint64_t at, void *ret, size_t n);
