/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* SQLite's files, with checksums (page-sums.h). A page that is damaged is not read: the result is
 * SQLITE_IOERR_DATA. */

#include <sqlite3.h>

#include "base/macro.h"

const char *checked_vfs(void); /* its name; on top of disk_vfs() */

/* The number of a page that was damaged when it was read, from 1; 0: there was none. */
uint64_t checked_vfs_bad_page(sqlite3 *sql);
