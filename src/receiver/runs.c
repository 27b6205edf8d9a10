/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/runs.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#include "store/disk.h"

#define MAGIC    UINT64_C(0x32736e7572676b61) /* "akgruns2" */
#define RUNS_MAX 2047u /* of them at most 1000 run (Concurrency=); the others are remembered */

typedef enum RunState {
        RUN_NONE,
        RUN_RUNNING,
        /* The receiver died meanwhile. */
        RUN_SUSPECT, /* others ran, too */
        RUN_CHARGED, /* the only one: that attempt has failed */
        RUN_COUNTED, /* and this is on disk; kept for `deaths` */
} RunState;

/* The file: a header of the size of a Run, and the runs. */
typedef struct Header {
        uint64_t magic, device, inode;
        sd_id128_t boot;
        uint8_t unused[16];
} Header;
_Static_assert(sizeof(Header) == sizeof(Run), "the runs are aligned");

struct Runs {
        DiskFile *file;
        Run runs[RUNS_MAX]; /* as in the file */
        size_t n_used;      /* those behind were never used */
        size_t n_kept;      /* during which the receiver died */
        size_t next;        /* where the search for room begins */
        bool died;          /* what runs stays in the file */
};

static uint32_t sum_of(const Run *run)
{
        return (uint32_t) XXH3_64bits(run, offsetof(Run, sum));
}

static void note(Runs *r, Run *run)
{
        run->sum = sum_of(run);
        (void) !disk_note(
                        r->file, sizeof(Header) + (size_t) (run - r->runs) * sizeof *run, run, sizeof *run);
}

static void set(Runs *r, Run *run, RunState state)
{
        r->n_kept += (size_t) (state > RUN_RUNNING) - (size_t) (run->state > RUN_RUNNING);
        run->state = state;
        note(r, run);
}

static Run *find(const Runs *r, sd_id128_t stream, uint64_t sequence)
{
        for (size_t i = 0; r->n_kept > 0 && i < r->n_used; i++) {
                const Run *run = r->runs + i;
                if (run->state > RUN_RUNNING && run->sequence == sequence &&
                                sd_id128_equal(run->stream, stream))
                        return (Run *) run;
        }
        return NULL;
}

/* Takes what is free, else what only remembers a death. */
static Run *find_room(Runs *r)
{
        Run *old = NULL;

        for (size_t i = 0; i < RUNS_MAX; i++) {
                Run *run = r->runs + (r->next + i) % RUNS_MAX;

                if (run->state == RUN_NONE) {
                        r->next = (size_t) (run - r->runs);
                        return run;
                }
                if (!old && run->state != RUN_RUNNING)
                        old = run;
        }
        return old;
}

/* The receiver died: who ran? */
static void judge(Runs *r)
{
        size_t n = 0;

        for (size_t i = 0; i < r->n_used; i++)
                n += r->runs[i].state == RUN_RUNNING;
        for (size_t i = 0; i < r->n_used; i++) {
                Run *run = r->runs + i;

                if (run->state != RUN_RUNNING)
                        continue;
                run->deaths++;
                set(r, run, n == 1 ? RUN_CHARGED : RUN_SUSPECT);
        }
}

static int load(Runs *r, const Header *own)
{
        const uint64_t size = sizeof(Header) + sizeof r->runs;
        const uint8_t *map;
        uint64_t found;
        int x;

        x = disk_size(r->file, &found);
        if (x >= 0 && found < size)
                x = disk_fill(r->file, found, size);
        if (x >= 0)
                x = disk_map(r->file, size, &map);
        if (x < 0)
                return x;
        if (memcmp(map, own, sizeof *own) == 0)
                memcpy(r->runs, map + sizeof *own, sizeof r->runs);
        for (size_t i = 0; i < RUNS_MAX; i++) {
                /* A damaged one would charge another message. */
                if (r->runs[i].state > RUN_COUNTED || r->runs[i].sum != sum_of(r->runs + i))
                        r->runs[i] = (Run){};
                if (r->runs[i].state != RUN_NONE)
                        r->n_used = i + 1;
                r->n_kept += r->runs[i].state > RUN_RUNNING;
        }
        x = disk_note(r->file, sizeof(Header), r->runs, sizeof r->runs);
        return x < 0 ? x : disk_note(r->file, 0, own, sizeof *own);
}

int runs_open(const char *path, const RunsHome *home, Runs **ret)
{
        const Header own = {MAGIC, home->device, home->inode, home->boot, {}};
        _cleanup_(runs_closep) Runs *r = calloc(1, sizeof *r);
        int x;

        if (!r)
                return -ENOMEM;
        x = disk_open(path, &r->file);
        if (x >= 0)
                x = load(r, &own);
        if (x < 0)
                return x;
        judge(r);
        *ret = TAKE_PTR(r);
        return 0;
}

Runs *runs_close(Runs *r)
{
        if (!r)
                return NULL;
        for (size_t i = 0; i < r->n_used && r->file; i++)
                if (r->runs[i].state == RUN_RUNNING && !r->died)
                        set(r, r->runs + i, RUN_NONE);
        r->file = disk_close(r->file);
        free(r);
        return NULL;
}

Run *runs_next_charged(Runs *r, const Run *after)
{
        for (size_t i = after ? (size_t) (after - r->runs) + 1 : 0; r && i < r->n_used; i++)
                if (r->runs[i].state == RUN_CHARGED)
                        return r->runs + i;
        return NULL;
}

void runs_counted(Runs *r, Run *run)
{
        set(r, run, RUN_COUNTED);
}

Run *runs_begin(Runs *r, const Run *run)
{
        Run *known = r ? find(r, run->stream, run->sequence) : NULL;
        Run *place = known || !r ? known : find_room(r);
        const uint32_t deaths = known ? known->deaths : 0;

        if (!place)
                return NULL;
        r->n_kept -= place->state > RUN_RUNNING;
        *place = *run;
        place->deaths = deaths;
        place->state = RUN_RUNNING;
        r->n_used = MAX(r->n_used, (size_t) (place - r->runs) + 1);
        note(r, place);
        return place;
}

void runs_end(Runs *r, Run *run)
{
        if (!run)
                return;
        set(r, run, RUN_NONE);
        r->next = (size_t) (run - r->runs);
}

/* What is known of earlier runs stays. */
void runs_not_begun(Runs *r, Run *run)
{
        if (run && run->deaths > 0)
                set(r, run, RUN_SUSPECT);
        else
                runs_end(r, run);
}

/* Also after a death that was counted: the next one would else cost its neighbours a run. */
bool runs_is_suspect(const Runs *r, sd_id128_t stream, uint64_t sequence)
{
        const Run *run = r ? find(r, stream, sequence) : NULL;

        return run != NULL;
}

void runs_died(Runs *r)
{
        if (r)
                r->died = true;
}

void runs_clear(Runs *r)
{
        if (!r)
                return;
        memset(r->runs, 0, sizeof r->runs);
        r->n_kept = r->n_used = r->next = 0;
        (void) !disk_note(r->file, sizeof(Header), r->runs, sizeof r->runs);
}
