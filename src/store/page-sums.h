/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Checksums of the pages of a database, in a file beside it (PATH.sums), since SQLite has none. The file
 * also notes how far SQLite's own log was synced, so that damage of its end is told from what a loss of
 * power tore off. If the file is missing, pages are entered when they are first read.
 *
 * A page must not have an old checksum, whatever happens, unless SQLite's log has the page too: otherwise it
 * would look damaged.
 *
 * For one thread. Without a file (NULL) nothing is known and nothing is done. */

#include "base/error.h"

#define PAGE_SIZE 4096u /* SQLite's default. Pages of other sizes are not checked */

typedef struct PageSums PageSums;

/* What is known of SQLite's own log. */
typedef enum WalState {
        WAL_UNKNOWN,
        WAL_NEEDED, /* nothing of it is in the tables */
        WAL_MIXED,  /* parts of it are */
        WAL_COPIED, /* all of it is, and this is synced */
} WalState;

typedef struct WalNote {
        uint8_t salt[8]; /* which log: as in its header */
        uint64_t synced; /* so many bytes were synced */
        uint32_t state;  /* WalState */
        uint32_t unused;
} WalNote;

/* 0 or negative errno. NULL if there is no file and none can be made (a full disk). */
int page_sums_open(const char *database, PageSums **ret);
PageSums *page_sums_close(PageSums *p);
DEFINE_CLEANUP(PageSums *, page_sums_close)

bool page_sums_agree(PageSums *p, uint64_t page, const void *data); /* false: the page is damaged */
/* Before the page is written. Negative errno: it must not be written, since its old checksum may stay. */
int page_sums_set(PageSums *p, uint64_t page, const void *data);
void page_sums_cut(PageSums *p, uint64_t n_pages); /* the database has no more pages than that */

const WalNote *page_sums_note(const PageSums *p);
void page_sums_set_note(PageSums *p, const WalNote *note);

/* 0 or negative errno. From then on no older note is found, also if the newest one could not be kept. */
int page_sums_sync(PageSums *p);
