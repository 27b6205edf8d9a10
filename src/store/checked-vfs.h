/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* SQLite's files, with checksums (page-sums.h). A page that is damaged is not read: the result is
 * SQLITE_IOERR_DATA. */

#include <sqlite3.h>

#include "base/macro.h"

const char *checked_vfs(void); /* its name; on top of disk_vfs() */

/* A statement that reads a page after `until_usec` (CLOCK_MONOTONIC) is interrupted. 0: no limit. SQLite's
 * own progress handler is not called while it checks a table. */
void checked_vfs_set_limit(sqlite3 *sql, uint64_t until_usec);

/* The number of a page that was damaged when it was read, from 1; 0: there was none. */
uint64_t checked_vfs_bad_page(sqlite3 *sql);
