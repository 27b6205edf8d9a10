/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/wal.h"

#include <endian.h>
#include <string.h>

#include "base/cleanup.h"
#include "store/disk.h"
#include "store/page-sums.h"

#define HEADER       32u
#define FRAME_HEADER 24u
#define SECTOR       512u                 /* a disk writes it as a whole or not at all */
#define MAGIC        UINT32_C(0x377f0682) /* bit 0: the checksums are of big-endian words */

typedef struct Sum {
        uint32_t a, b;
        bool big;
} Sum;

static uint32_t word(const uint8_t *at, bool big)
{
        uint32_t v;

        memcpy(&v, at, sizeof v);
        return big ? be32toh(v) : le32toh(v);
}

/* The checksum of SQLite's logs; each goes on from the one before it. */
static void add(Sum *s, const uint8_t *data, size_t n)
{
        for (size_t i = 0; i < n; i += 8) {
                s->a += word(data + i, s->big) + s->b;
                s->b += word(data + i + 4, s->big) + s->a;
        }
}

static bool agrees(const Sum *s, const uint8_t *at)
{
        return word(at, true) == s->a && word(at + 4, true) == s->b;
}

#define FRAME (FRAME_HEADER + PAGE_SIZE)

static bool is_big(const uint8_t *log)
{
        return word(log, true) & 1;
}

/* Whether the frame at `at` is of this log, and intact. Its checksum goes on from the one at `before`. */
static bool is_frame(const uint8_t *log, uint64_t size, uint64_t at, const uint8_t *before)
{
        Sum s = {word(before, true), word(before + 4, true), is_big(log)};

        if (at + FRAME > size || memcmp(log + at + 8, log + 16, 8) != 0)
                return false;
        add(&s, log + at, 8);
        add(&s, log + at + FRAME_HEADER, PAGE_SIZE);
        return agrees(&s, log + at + 16);
}

/* How far the log is intact; 0: it has no intact header. */
static uint64_t intact(const uint8_t *log, uint64_t size)
{
        const uint8_t *before = log + 24;
        Sum s = {};
        uint64_t at = HEADER;

        if (size < HEADER || (word(log, true) & ~UINT32_C(1)) != MAGIC || word(log + 8, true) != PAGE_SIZE)
                return 0;
        s.big = is_big(log);
        add(&s, log, 24);
        if (!agrees(&s, before))
                return 0;
        for (; is_frame(log, size, at, before); at += FRAME)
                before = log + at + 16;
        return at;
}

/* The header of a bad frame says that it is the end of a commit. A sector that was not written may show a
 * header of an older log: so the mark counts only with the salt of this log in the same sector. */
static bool ends_commit(const uint8_t *log, uint64_t at)
{
        return word(log + at + 4, true) != 0 && memcmp(log + at + 8, log + 16, 8) == 0 &&
               (at + 4) / SECTOR == (at + 15) / SECTOR;
}

/* A commit is synced before the next frame is written: so a frame behind the bad one that follows a commit
 * shows that the bad one was synced. */
static uint64_t synced_behind(const uint8_t *log, uint64_t size, uint64_t bad)
{
        uint64_t synced = 0;

        for (uint64_t at = bad; at + 2 * FRAME <= size; at += FRAME)
                if (ends_commit(log, at) && is_frame(log, size, at + FRAME, log + at + 16))
                        synced = at + FRAME;
        return synced;
}

/* Whether the note is of another log: its own note was lost with the power. */
static bool is_another(const uint8_t *log, const WalNote *note)
{
        return memcmp(log + 16, note->salt, sizeof note->salt) != 0;
}

static WalState state_of(const WalNote *note)
{
        return note->state <= WAL_COPIED ? (WalState) note->state : WAL_UNKNOWN;
}

static void judge(const uint8_t *log, uint64_t size, const WalNote *note, WalLook *ret)
{
        static const WalVerdict verdicts[] = {
                        [WAL_UNKNOWN] = WAL_HOPELESS,
                        [WAL_NEEDED] = WAL_CUT,
                        [WAL_MIXED] = WAL_HOPELESS,
                        [WAL_COPIED] = WAL_REDUNDANT,
        };
        const uint64_t good = log ? intact(log, size) : 0;
        const bool another = good > 0 && is_another(log, note);
        uint64_t synced = another ? 0 : note->synced;

        if (good > 0)
                synced = MAX(synced, synced_behind(log, size, good));
        if (good >= synced) {
                ret->torn = good > 0 && good + FRAME <= size && memcmp(log + good + 8, log + 16, 8) == 0;
                return;
        }
        ret->lost = synced - good;
        ret->verdict = verdicts[another ? WAL_UNKNOWN : state_of(note)];
        if (!log && ret->verdict == WAL_REDUNDANT)
                ret->verdict = WAL_WHOLE;
}

int wal_look(const char *database, const char *log, WalLook *ret)
{
        _cleanup_(page_sums_closep) PageSums *sums = NULL;
        _cleanup_(disk_closep) DiskFile *file = NULL;
        const uint8_t *map = NULL;
        uint64_t size = 0;
        int r;

        *ret = (WalLook){};
        r = page_sums_open(database, &sums);
        if (r >= 0 && disk_exists(log)) {
                r = disk_open(log, &file);
                if (r >= 0)
                        r = disk_size(file, &size);
        }
        if (r >= 0 && size > 0)
                r = disk_map(file, (size_t) size, &map);
        if (r < 0)
                return r;
        ret->exists = size > 0;
        judge(map, size, page_sums_note(sums), ret);
        return 0;
}
