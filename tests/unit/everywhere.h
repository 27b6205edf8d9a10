/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The power goes at each write and sync of a scenario in turn, and each write and sync fails in turn. */

#include <errno.h>

#include "fake/worker.h"
#include "world/disk.h"

typedef struct Scenario {
        void (*begin)(void); /* forgets what was promised; the disk is empty */
        void (*run)(void);   /* goes on when something fails */
        void (*end)(void);   /* closes what is open */
        void (*check)(void); /* a new start: what was promised is there */
} Scenario;

/* Past the first ones most operations are pages of one large transaction. */
static inline unsigned step(unsigned n)
{
        return n < 120 ? n + 1 : n + 5;
}

static inline unsigned crash_everywhere(const Scenario *s)
{
        unsigned n = 0;
        bool crashed;

        do {
                n = step(n);
                for (FakeLoss loss = FAKE_LOSE; loss < _FAKE_LOSS_MAX; loss++) {
                        /* TEAR keeps some, loses some: the hardest. The others now and then. */
                        if (loss != FAKE_TEAR && n % 3 != (unsigned) loss)
                                continue;
                        fake_disk_reset();
                        s->begin();
                        fake_disk_crash_at(n);
                        s->run();
                        crashed = fake_disk_is_crashed();
                        if (!crashed)
                                fake_disk_crash();
                        s->end();
                        fake_disk_power_on(loss, n);
                        s->check();
                }
        } while (crashed);
        return n;
}

/* Alternately: one operation, all from it on; an error of the disk, a full disk. */
static inline void fail_everywhere(const Scenario *s)
{
        unsigned n = 0;
        bool failed;

        do {
                fake_disk_reset();
                s->begin();
                n = step(n);
                fake_disk_fail(n, n & 2 ? ENOSPC : EIO, n & 1);
                s->run();
                failed = fake_disk_operations() >= n;
                fake_disk_crash();
                s->end();
                fake_disk_power_on(FAKE_LOSE, 0);
                s->check();
        } while (failed);
}
