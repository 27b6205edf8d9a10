/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* store/disk.h in memory, with failures and crashes where a test wants them. SQLite's files are on this
 * disk, too. There is one disk; what it holds stays until fake_disk_reset().
 *
 * Every write, fill, truncation and sync is an operation, whoever does it. Operations are counted from 1. */

#include "store/disk.h"

#define FAKE_SECTOR 512u

void fake_disk_reset(void);          /* an empty disk that works; files that are open become stale */
unsigned fake_disk_operations(void); /* since the reset, or since the power came back */

/* The n-th operation from now fails with -error, and so do all after it if `all`. 0: none fails any more. */
void fake_disk_fail(unsigned n, int error, bool all);

/* From now on nothing may grow: a write behind the end of a file fails with -ENOSPC. */
void fake_disk_fill_up(bool full);

/* The power goes at the n-th operation from now: that operation, too, may have happened in part. From then
 * on everything fails with -EIO until the power is back. 0: it stays. */
void fake_disk_crash_at(unsigned n);
void fake_disk_crash(void); /* now */
bool fake_disk_is_crashed(void);

/* What becomes of the sectors that were written and not synced. */
typedef enum FakeLoss {
        FAKE_LOSE, /* they are as they were before */
        FAKE_KEEP, /* all of them are there */
        FAKE_TEAR, /* each is there or not, by `seed` */
        _FAKE_LOSS_MAX,
} FakeLoss;
void fake_disk_power_on(FakeLoss loss, uint64_t seed); /* files that are open become stale */

/* The content of a file, to be looked at and damaged; NULL: it is not there. */
uint8_t *fake_disk_content(const char *path, size_t *ret_size);
