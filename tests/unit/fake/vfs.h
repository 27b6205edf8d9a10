/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* SQLite's files on the fake disk. */

#include "store/disk.h"

const char *fake_vfs(void); /* its name; registers it the first time */

/* From fake/disk.c: bytes that are there, the rest is zeroed; or -EIO. */
int fake_disk_read(DiskFile *f, uint64_t at, void *ret, size_t n);
