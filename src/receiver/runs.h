/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which handlers run, in a file that outlives this process, so that the next one knows during which runs
 * this one died. A message whose handler kills its receiver must come to its end as one whose handler fails.
 *
 * If one handler ran alone when the receiver died, that attempt has failed. If several ran, nobody knows
 * whose fault it was: each of these messages runs alone when it comes again. The file is not synced: when
 * the machine loses power, no handler is to blame. */

#include <systemd/sd-id128.h>

#include "base/error.h"

typedef struct Runs Runs;

/* This start of this machine, and this state directory: in a copy of it nothing has run. */
typedef struct RunsHome {
        sd_id128_t boot;
        uint64_t device, inode;
} RunsHome;

typedef struct Run {
        sd_id128_t stream, message;
        uint64_t sequence;
        uint32_t attempt;
        uint32_t deaths; /* so often its receiver died while it ran */
        uint32_t state;  /* of runs.c */
        uint32_t sum;    /* of runs.c: of what is before it, as in the file */
} Run;

/* Reads the file, and makes it if it is missing. 0 or negative errno; without the file (NULL), all other
 * functions do nothing. */
int runs_open(const char *path, const RunsHome *home, Runs **ret);
/* What still runs is stopped by this process, not lost with it, unless runs_died() was called. */
Runs *runs_close(Runs *r);
DEFINE_CLEANUP(Runs *, runs_close)

/* The runs that were alone when the receiver died, one after the other (first: `after` is NULL); NULL: there
 * is no other one. Each comes at every start until runs_counted(). */
Run *runs_next_charged(Runs *r, const Run *after);
void runs_counted(Runs *r, Run *run); /* it is on disk that this attempt has failed, or nobody needs that */

/* A handler begins. The result is for runs_end(); NULL: there is no room, so a death during this run is not
 * noticed. */
Run *runs_begin(Runs *r, const Run *run);
void runs_end(Runs *r, Run *run);       /* the handler has ended, whatever its outcome; NULL is fine */
void runs_not_begun(Runs *r, Run *run); /* it could not be started; NULL is fine */

/* The receiver died while this message ran, and it has not run to its end since: it runs alone. */
bool runs_is_suspect(const Runs *r, sd_id128_t stream, uint64_t sequence);
/* What runs now may be why this process has to end: for the next one that is a death of the receiver. */
void runs_died(Runs *r);
void runs_clear(Runs *r); /* the receiver has become another one: nothing of the old one counts */
