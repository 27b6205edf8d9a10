/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Looks at SQLite's own log before SQLite does: SQLite passes over everything behind a damaged frame,
 * without a word. */

#include "base/error.h"

typedef enum WalVerdict {
        WAL_WHOLE,     /* or nothing is known that contradicts it */
        WAL_CUT,       /* synced commits at its end are lost; the tables are as before them */
        WAL_REDUNDANT, /* it is damaged, but the tables have all of it: it must be removed */
        WAL_HOPELESS,  /* it is damaged, and the tables have parts of what is lost */
} WalVerdict;

typedef struct WalLook {
        WalVerdict verdict;
        bool exists;   /* the database was not closed in order */
        bool torn;     /* it ends in a frame that is not complete; nothing says that it was synced */
        uint64_t lost; /* bytes that were synced and cannot be read */
} WalLook;

/* `log` is the log of `database`. 0 or negative errno. */
int wal_look(const char *database, const char *log, WalLook *ret);
