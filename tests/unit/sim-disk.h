/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Two machines, and two processes on the first, for tests of their disks. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/time-util.h"
#include "store/disk.h"
#include "world/disk.h"
#include "world/memory.h"
#include "world/process.h"

#define SECTORS 64u

static Machine *m0, *m1;
static Process *p0, *p1;
static unsigned n_ends;
static int last_status;
static uint8_t ones[SECTORS * FAKE_SECTOR];

static inline void on_end(Process *p, bool killed, int status, void *userdata)
{
        n_ends++;
        last_status = killed ? 1000 : status;
}

static inline int setup(void **state)
{
        world_begin();
        memory_begin();
        memset(ones, 1, sizeof ones);
        n_ends = 0;
        m0 = machine_new("m0");
        m1 = machine_new("m1");
        p0 = process_new(m0, "p0");
        p1 = process_new(m0, "p1");
        process_on_end(on_end, NULL);
        return 0;
}

static inline int teardown(void **state)
{
        world_end();
        return 0;
}

static inline bool has_ended(void *userdata)
{
        return !process_is_up(userdata);
}

/* Returns the result of `fn`; 1000: it was killed. */
static inline int run(Process *p, int (*fn)(void *userdata), void *userdata)
{
        process_start(p, fn, userdata);
        world_run(world_now() + (3600 * USEC_PER_SEC), has_ended, p);
        assert_false(process_is_up(p));
        return last_status;
}

static inline void run_for(uint64_t usec)
{
        world_run(world_now() + usec, NULL, NULL);
}

static inline unsigned n_new(const char *path)
{
        size_t size;
        const uint8_t *data = fake_disk_content(path, &size);
        unsigned n = 0;

        for (size_t i = 0; data && i + FAKE_SECTOR <= size; i += FAKE_SECTOR) {
                n += data[i] == 1;
                /* A sector is old or new as a whole. */
                assert_memory_equal(data + i, data + i + 1, FAKE_SECTOR - 1);
        }
        return n;
}

static char path[] = "/m0/f";

/* A durable file of zeros; then a write, and a sync of it. */
static inline int write_ones(void *where)
{
        DiskFile *f;
        int r;

        r = disk_open(where, &f);
        if (r >= 0)
                r = disk_fill(f, 0, sizeof ones);
        if (r >= 0)
                r = disk_sync_directory(where);
        if (r >= 0)
                r = disk_write(f, 0, ones, sizeof ones);
        return r >= 0 ? disk_sync(f) : r;
}

static inline int append(void *where)
{
        DiskFile *f;
        uint64_t size;
        int r;

        r = disk_open(where, &f);
        if (r < 0)
                return r;
        assert_int_equal(disk_size(f, &size), 0);
        return disk_write(f, size, ones, sizeof ones);
}
