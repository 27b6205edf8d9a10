/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The children of this process, as the kernel knows them. A process that is a subreaper (prctl(2)) also gets
 * the orphans of its descendants as children. Nobody else may wait for children: then a number stays that of
 * the same process until this process has waited for it. */

#include <sys/types.h>

#include "base/macro.h"

typedef struct Offspring {
        int fd; /* the list of the first thread's children, which has the orphans; -1: not open */
        pid_t *pids;
        size_t n, allocated;
} Offspring;

/* 0, or negative errno when the kernel does not tell. */
int offspring_open(Offspring *o);
void offspring_close(Offspring *o);

/* Reads the list, zombies included, into `pids`. 0 or negative errno. */
int offspring_read(Offspring *o);
bool offspring_has(const Offspring *o, pid_t pid);

/* After so many rounds of killing in which others appear, the processes are stopped first. */
#define OFFSPRING_PATIENCE 3u
/* Stops these children and all of their descendants, each of them before its children are looked up. So they
 * cannot start others faster than they are killed. */
void offspring_stop_all(const pid_t *pids, size_t n);

/* Kills all children, and their descendants as they become children, until none is left or the time is over.
 * Spares those in `spared`. Blocks. */
void offspring_kill_all(const Offspring *spared, uint64_t timeout_usec);
