/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A redo log in front of the tables. A batch is appended here in one sequential write and one sync; the
 * tables get it later, in one transaction for thousands of records, if it still matters then.
 *
 * The file is preallocated and full of zeroes, so a sync has no metadata to write. It holds blocks, one per
 * batch: a header (number, size, checksum) and records. A block begins on a sector of its own, so a synced
 * sector is never written again. Numbers only grow. When the tables have everything (they store the number
 * of the last block that they have), writing starts again at the front; the numbers tell old blocks from new
 * ones. Behind the last block stands a seal, which says that this block was synced. So what a loss of power
 * tore off is told from damage: a block that is bad although a later one, or its seal, is there.
 *
 * For one thread. The log knows bytes; its owner knows what records mean. */

#include "base/buffer.h"
#include "base/error.h"

typedef struct Redo Redo;

/* A record and where it is in the file; redo_at() finds it there until redo_restart(). */
typedef int (*RedoRecord)(void *userdata, const uint8_t *record, size_t size, uint32_t at);

/* Creates the file where it is missing. On failure (-ENOSPC, -EROFS …) the caller may go on without a log.
 */
int redo_open(const char *path, Redo **ret);
Redo *redo_free(Redo *r);
DEFINE_CLEANUP(Redo *, redo_free)

/* Calls `record` for each record in the blocks after number `applied`, in order, and passes over damaged
 * blocks. Call it once, first; then write everything to the tables and call redo_restart(). -EPROTO: the log
 * has another version of the format, and holds records that the tables lack. Every version has its magic and
 * number in the same place.
 */
int redo_replay(Redo *r, uint64_t applied, RedoRecord record, void *userdata);

/* What the replay found: so many synced blocks are neither here nor in the tables. */
uint64_t redo_missing(const Redo *r);
/* The last block is not complete. Most probably it was being written when the power was lost, and nobody was
 * told that it was synced. */
bool redo_is_torn(const Redo *r);

/* When the tables have what was replayed: no later start finds a block that this one did not find. The disk
 * may have one that the kernel does not show: it was erased, but without a sync that succeeded. Everybody
 * counts on its absence from here on; after a loss of power it would be back. */
int redo_forget_rest(Redo *r);

/* A batch: begin, append records to the buffer that is returned (each between redo_record_begin() and
 * redo_record_end()), commit. */
Buffer *redo_begin(Redo *r);
int redo_record_begin(Redo *r); /* 0 or -ENOMEM */
void redo_record_end(Redo *r);

/* Writes and syncs the batch. -ENOBUFS: no room after the last block; nothing was done, and the caller may
 * try again after redo_restart(). Any other error: the batch is erased, as far as the disk permits,
 * and its number is used up. */
int redo_commit(Redo *r);
int redo_walk(Redo *r, RedoRecord record, void *userdata); /* the records of the last committed block */

bool redo_is_too_large(const Redo *r);                          /* the batch fits in no log of this size */
uint64_t redo_number(const Redo *r);                            /* of the last block */
const uint8_t *redo_at(Redo *r, uint32_t at, size_t *ret_size); /* a record, in place */

/* The tables have everything, synced: writing starts at the front. A log that filled within two seconds
 * doubles, up to 64 MiB. */
void redo_restart(Redo *r);
