/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Every file operation of this floor that is not SQLite's own. disk.c does them for real; a test or a
 * simulator links another implementation instead.
 *
 * Functions that return int return 0 or a negative errno. All of them block. A file is for one thread at a
 * time. */

#include <sys/types.h>

#include "base/macro.h"

typedef struct DiskFile DiskFile;

int disk_open(const char *path, DiskFile **ret); /* creates it with mode 0600 where it is missing */
DiskFile *disk_close(DiskFile *f);               /* drops its lock and its mapping too; NULL is fine */
DEFINE_CLEANUP(DiskFile *, disk_close)

/* Takes the exclusive lock on the file. Waits at most `patience_usec` for another process, then -EBUSY. */
int disk_lock(DiskFile *f, uint64_t patience_usec);
int disk_fd(const DiskFile *f); /* its descriptor, which holds the lock; -1 where there is none */

/* Identifies the file: another file has another pair, even if it has the same name. */
int disk_identity(const DiskFile *f, uint64_t *ret_device, uint64_t *ret_inode);

int disk_size(const DiskFile *f, uint64_t *ret);
int disk_fill(DiskFile *f, uint64_t from, uint64_t to); /* writes zeroes and syncs them with the size */
int disk_truncate(DiskFile *f, uint64_t size);
/* Zeroes behind the end. -EUCLEAN: the disk cannot read it. */
int disk_read(const DiskFile *f, uint64_t at, void *ret, size_t n);
int disk_write(DiskFile *f, uint64_t at, const void *data, size_t n); /* all of it */
int disk_sync(DiskFile *f);                                           /* the data; the size only if needed */

/* Writes the first `size` bytes, as far as there are so many, once more, and syncs them. After a sync that
 * failed, or a kill before a sync, the kernel may show what the disk does not have, take it for written, and
 * forget it at any time. -EUCLEAN: the disk cannot read them. */
int disk_rewrite(DiskFile *f, uint64_t size);

/* As disk_write(), into a part of the file that has been filled. Nothing syncs it, so it goes to the memory
 * of the kernel, and a loop may call it: for what must survive this process, but not the machine. */
int disk_note(DiskFile *f, uint64_t at, const void *data, size_t n);

/* Maps the first `size` bytes for reading; the mapping shows later writes too. Replaces the previous
 * mapping, which stays valid when this fails. Reads everything once: -EUCLEAN if the disk cannot, which
 * would be a signal later. */
int disk_map(DiskFile *f, size_t size, const uint8_t **ret);
void disk_release_pages(DiskFile *f); /* frees the memory of the mapping; it is read again where needed */

bool disk_exists(const char *path);
void disk_remove(const char *path);
/* Replaces `to`, if it is there: at any time one of the two has that name. As other changes of names, this
 * is durable after disk_sync_directory(). */
int disk_rename(const char *from, const char *to);
int disk_sync_directory(const char *path); /* of the directory of `path`: makes the name itself durable */

/* The name of the VFS through which SQLite reaches its files; NULL: its own default. */
const char *disk_vfs(void);
