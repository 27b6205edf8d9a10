/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A redo log in front of the tables: what is promised is appended here, in one sequential write and one sync
 * for a batch, and reaches the tables later, in one transaction for thousands, if it still matters then.
 *
 * The file is preallocated and full of zeroes, so that a sync has no metadata to write. It holds blocks, one
 * for each batch: a header with a number, a size and a checksum, and records; a block begins on a sector of
 * its own, so that no sector that was synced is written again. Numbers run on for ever. When the tables have
 * everything (they remember up to which number), writing begins anew at the front; what stands behind the
 * last block is known by its numbers to be old.
 *
 * For one thread. This knows bytes; what records mean is their owner's matter. */

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/error.h"

typedef struct Redo Redo;

/* A record and where in the file it stands; redo_at() finds it again until redo_restart(). */
typedef int (*RedoRecord)(void *userdata, const uint8_t *record, size_t size, uint32_t at);

/* Creates the file where it is missing. Not an error for who can do without: -ENOSPC, -EROFS and so on. */
int redo_open(const char *path, Redo **ret);
Redo *redo_free(Redo *r);
DEFINE_CLEANUP(Redo *, redo_free)

/* Reads the blocks behind number `applied` and calls `record` for each record in order. Once, at first; then
 * the tables must be given everything, and redo_restart() follows. -EPROTO: the tables lack what another
 * version of the format has; its magic and number stand where ours do. */
int redo_replay(Redo *r, uint64_t applied, RedoRecord record, void *userdata);

/* A batch: begin, append records to the buffer that is returned (each between redo_record_begin() and
 * redo_record_end()), commit. */
Buffer *redo_begin(Redo *r);
int redo_record_begin(Redo *r); /* 0 or -ENOMEM */
void redo_record_end(Redo *r);

/* Writes and syncs. -ENOBUFS: no room behind the last block; as it was before, so that it can be tried again
 * after redo_restart(). Any other error: nobody knows what is on disk; the number counts as used. */
int redo_commit(Redo *r);
int redo_walk(Redo *r, RedoRecord record, void *userdata); /* the records of the block committed last */

bool redo_is_too_large(const Redo *r); /* the batch that is put together fits in no log of this size */
uint64_t redo_number(const Redo *r);   /* of the block written last */
const uint8_t *redo_at(Redo *r, uint32_t at, size_t *ret_size); /* a record, in place */
void redo_restart(Redo *r); /* the tables have everything, synced; grows the file when it was soon full */
