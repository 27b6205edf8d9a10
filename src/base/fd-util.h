/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "base/cleanup.h"

/* All functions return 0 or a negative errno, unless their comment says more. */

/* Raises the soft limit of descriptors of this process to the hard one. The soft limit is low for the sake
 * of programs that use select(). */
void fd_raise_limit(void);
unsigned fd_limit(void); /* the soft limit */

int fd_set_nonblock(int fd, bool nonblock);
int fd_set_cloexec(int fd, bool cloexec);

/* Writes all `n` bytes to a blocking descriptor; handles short writes and EINTR. */
int write_all(int fd, const void *data, size_t n);

/* Reads a descriptor to its end, at most `max` bytes; -EFBIG if there is more. *ret is malloc'ed and has a
 * NUL behind its *ret_size bytes. */
int read_all(int fd, size_t max, char **ret, size_t *ret_size);

/* As read_all(), with the file at `path`. */
int read_file(const char *path, size_t max, char **ret, size_t *ret_size);

/* Replaces the file at `path` by the given bytes so that after a power loss either the old or the new
 * content is there: temporary file beside it, fsync, rename, fsync of the directory. Blocks on the disk. */
int write_file_synced(const char *path, const void *data, size_t n, mode_t mode);

/* mkdir -p. */
int mkdir_parents(const char *path, mode_t mode);

int fsync_directory_of(const char *path); /* makes the name itself durable; blocks on the disk */

/* Opens /dev/null as 0, 1 and 2 where these are closed. Else a file that is opened later would get the
 * number, and what is meant for standard error would go into it. To be called before anything is opened. */
void fd_open_standard(void);
