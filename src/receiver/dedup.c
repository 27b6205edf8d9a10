/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/dedup.h"

#include <errno.h>
#include <stdlib.h>
#include <uthash.h>

#include "base/random-pool.h"
#include "base/slab.h"
#include "model/sequence-index.h"

typedef struct StreamState StreamState;

struct DedupEntry {
        SequenceEntry by_sequence;
        StreamState *stream;
        void *work; /* while in progress */
        sd_id128_t message;
        uint32_t attempt;        /* of the outcome, or of the run in progress */
        uint32_t failed_attempt; /* abandon() restores this; 0: there was none */
        Outcome outcome;         /* 0 while in progress */
};

struct StreamState {
        sd_id128_t id; /* key */
        SequenceSet settled;
        SequenceIndex entries;
        size_t in_progress;
        bool closed;
        uint64_t conn; /* the connection that used it last */
        uint64_t used; /* when; 0: not since the index was made */
        UT_hash_handle hh;
};

struct DedupIndex {
        Slab slab; /* of entries */
        StreamState *streams;
        StreamState *last; /* the last one that was made; mostly the next message is of it */
        size_t max_streams;
        size_t n_entries;
        uint64_t made;
        uint64_t seed; /* sequences are chosen by senders */
};

int dedup_index_new(size_t max_streams, uint64_t now, DedupIndex **ret)
{
        DedupIndex *d = calloc(1, sizeof *d);
        if (!d)
                return -ENOMEM;
        d->seed = random_u64();
        d->max_streams = max_streams;
        d->made = now;
        *ret = d;
        return 0;
}

static DedupEntry *entry_of(SequenceEntry *e)
{
        return e ? CONTAINER_OF(e, DedupEntry, by_sequence) : NULL;
}

static void drop_entry(DedupIndex *d, DedupEntry *e)
{
        sequence_index_remove(&e->stream->entries, &e->by_sequence);
        slab_free(&d->slab, e, sizeof *e);
        d->n_entries--;
}

static void drop_stream(DedupIndex *d, StreamState *s)
{
        SequenceCursor cursor = {};
        DedupEntry *e;

        while ((e = entry_of(sequence_index_each(&s->entries, &cursor))))
                drop_entry(d, e);
        sequence_index_clear(&s->entries);
        HASH_DEL(d->streams, s);
        if (d->last == s)
                d->last = NULL;
        sequence_set_clear(&s->settled);
        free(s);
}

static void drop_all(DedupIndex *d)
{
        StreamState *s, *next;

        HASH_ITER(hh, d->streams, s, next)
                drop_stream(d, s);
        slab_clear(&d->slab);
}

void dedup_index_clear(DedupIndex *d, uint64_t now)
{
        drop_all(d);
        d->made = now;
}

DedupIndex *dedup_index_free(DedupIndex *d)
{
        if (!d)
                return NULL;
        drop_all(d);
        free(d);
        return NULL;
}

static StreamState *find_stream(const DedupIndex *d, sd_id128_t id)
{
        StreamState *s;

        if (d->last && sd_id128_equal(d->last->id, id))
                return d->last;
        HASH_FIND(hh, d->streams, &id, sizeof id, s);
        return s;
}

static DedupEntry *find_entry(const StreamState *s, uint64_t sequence)
{
        return entry_of(sequence_index_find(&s->entries, sequence));
}

static StreamState *make_stream(DedupIndex *d, sd_id128_t id)
{
        StreamState *s = find_stream(d, id);

        if (!s) {
                s = calloc(1, sizeof *s);
                if (!s)
                        return NULL;
                s->id = id;
                sequence_set_init(&s->settled);
                sequence_index_init(&s->entries, d->seed);
                HASH_ADD(hh, d->streams, id, sizeof s->id, s);
        }
        d->last = s;
        return s;
}

static DedupEntry *add_entry(DedupIndex *d, StreamState *s, uint64_t sequence, sd_id128_t message)
{
        DedupEntry *e = slab_zero(&d->slab, sizeof *e);

        if (!e)
                return NULL;
        e->stream = s;
        e->message = message;
        if (sequence_index_add(&s->entries, &e->by_sequence, sequence) < 0) {
                slab_free(&d->slab, e, sizeof *e);
                return NULL;
        }
        d->n_entries++;
        return e;
}

static int load_settled(sd_id128_t stream, const SequenceSet *set, void *userdata)
{
        const SequenceSet *merged;

        return dedup_index_settle(userdata, set, stream, &merged);
}

static int load_record(const DedupRecord *record, void *userdata)
{
        StreamState *s = make_stream(userdata, record->stream);

        if (!s)
                return -ENOMEM;
        /* Its sender announced it as settled before it was recorded. */
        if (sequence_set_contains(&s->settled, record->sequence))
                return 0;
        DedupEntry *e = add_entry(userdata, s, record->sequence, record->message);
        if (!e)
                return -ENOMEM;
        e->attempt = record->attempt;
        e->outcome = record->outcome;
        return 0;
}

int dedup_index_load(DedupIndex *d, Db *db)
{
        return dedup_load(db, &(DedupLoad){.settled = load_settled, .record = load_record, .userdata = d});
}

bool dedup_index_is_full(const DedupIndex *d)
{
        return HASH_COUNT(d->streams) >= d->max_streams;
}

DedupVerdict dedup_index_judge(const DedupIndex *d, sd_id128_t stream, uint64_t sequence, sd_id128_t message,
                uint32_t attempt, DedupRecord *ret_record)
{
        const StreamState *s = find_stream(d, stream);

        if (!s) {
                if (dedup_index_is_full(d))
                        return DEDUP_TOO_MANY;
                return sequence > STREAM_WINDOW ? DEDUP_OUT_OF_WINDOW : DEDUP_RUN;
        }

        /* In progress comes before settled: the answer to a message that runs is "working", whatever the
         * sender announced. */
        const DedupEntry *e = find_entry(s, sequence);
        if (e && !sd_id128_equal(e->message, message))
                return DEDUP_CONFLICT;
        if (e && e->outcome == 0)
                return DEDUP_IN_PROGRESS;
        if (sequence_set_contains(&s->settled, sequence))
                return DEDUP_SETTLED;
        if (!e)
                return sequence - s->settled.low >= STREAM_WINDOW ? DEDUP_OUT_OF_WINDOW : DEDUP_RUN;
        if (e->outcome == OUTCOME_FAILED && attempt > e->attempt)
                return DEDUP_RUN;

        if (ret_record)
                *ret_record = (DedupRecord){stream, sequence, e->message, e->attempt, e->outcome};
        return DEDUP_RECORDED;
}

/* Drops a stream of which nothing is known any more. */
static void drop_empty(DedupIndex *d, StreamState *s)
{
        if (sequence_index_count(&s->entries) == 0 && s->settled.low == 1 && s->settled.n_ranges == 0)
                drop_stream(d, s);
}

int dedup_index_begin(DedupIndex *d, sd_id128_t stream, uint64_t sequence, sd_id128_t message,
                uint32_t attempt, void *work, DedupEntry **ret)
{
        StreamState *s = make_stream(d, stream);
        if (!s)
                return -ENOMEM;

        DedupEntry *e = find_entry(s, sequence);
        if (!e)
                e = add_entry(d, s, sequence, message);
        if (!e) {
                drop_empty(d, s);
                return -ENOMEM;
        }
        e->work = work;
        e->failed_attempt = e->attempt;
        e->attempt = attempt;
        e->outcome = 0;
        s->in_progress++;
        *ret = e;
        return 0;
}

void *dedup_index_work(const DedupIndex *d, sd_id128_t stream, uint64_t sequence)
{
        const StreamState *s = find_stream(d, stream);
        const DedupEntry *e = s ? find_entry(s, sequence) : NULL;

        return e && e->outcome == 0 ? e->work : NULL;
}

void dedup_index_raise(DedupEntry *e, uint32_t attempt)
{
        e->attempt = MAX(e->attempt, attempt);
}

bool dedup_index_finish(DedupIndex *d, DedupEntry *e, Outcome outcome)
{
        e->stream->in_progress--;
        e->outcome = outcome;
        if (!sequence_set_contains(&e->stream->settled, e->by_sequence.sequence))
                return true;
        drop_entry(d, e);
        return false;
}

void dedup_index_abandon(DedupIndex *d, DedupEntry *e)
{
        StreamState *s = e->stream;

        s->in_progress--;
        if (e->failed_attempt > 0 && !sequence_set_contains(&s->settled, e->by_sequence.sequence)) {
                e->attempt = e->failed_attempt;
                e->outcome = OUTCOME_FAILED;
                return;
        }
        drop_entry(d, e);
        drop_empty(d, s);
}

/* Drops the settled entries of the stream from `from` on; those below are gone already. A message in
 * progress is dropped when it ends. */
static void drop_settled(DedupIndex *d, StreamState *s, uint64_t from)
{
        SettledCursor cursor = settled_cursor(&s->entries, &s->settled, from);
        DedupEntry *e;

        while ((e = entry_of(settled_cursor_next(&cursor))))
                if (e->outcome != 0)
                        drop_entry(d, e);
}

int dedup_index_settle(
                DedupIndex *d, const SequenceSet *settled, sd_id128_t stream, const SequenceSet **ret_set)
{
        int r;

        if (!find_stream(d, stream) && dedup_index_is_full(d))
                return -ENOSPC;
        StreamState *s = make_stream(d, stream);
        if (!s)
                return -ENOMEM;
        if (s->settled.n_ranges > STREAM_WINDOW)
                return -EPROTO;
        const uint64_t low = s->settled.low;
        r = sequence_set_add_below(&s->settled, settled->low);
        for (size_t i = 0; i < settled->n_ranges && r >= 0; i++)
                r = sequence_set_add(&s->settled, settled->ranges[i].first, settled->ranges[i].last);
        drop_settled(d, s, low);
        if (r < 0)
                return r;
        *ret_set = &s->settled;
        return 0;
}

void dedup_index_close(DedupIndex *d, sd_id128_t stream)
{
        StreamState *s = find_stream(d, stream);

        if (s)
                s->closed = true;
}

bool dedup_index_is_settled(const DedupEntry *e)
{
        return e->stream->closed || sequence_set_contains(&e->stream->settled, e->by_sequence.sequence);
}

int dedup_index_forget(DedupIndex *d, sd_id128_t stream)
{
        StreamState *s = find_stream(d, stream);

        if (!s)
                return 0;
        if (s->in_progress > 0)
                return -EBUSY;
        drop_stream(d, s);
        return 0;
}

void dedup_index_used(DedupIndex *d, sd_id128_t stream, uint64_t conn, uint64_t now)
{
        StreamState *s = find_stream(d, stream);

        if (s)
                s->conn = conn, s->used = now;
}

static bool is_silent(const DedupIndex *d, const StreamState *s, uint64_t now)
{
        return now >= usec_add(MAX(s->used, d->made), STREAM_SILENT_USEC);
}

static StreamState *find_spare(DedupIndex *d, uint64_t now, DedupInUse in_use, void *userdata)
{
        StreamState *silent = NULL;

        for (StreamState *s = d->streams; s; s = s->hh.next) {
                const bool settled = sequence_index_count(&s->entries) == 0;

                if (s->in_progress > 0 || !(settled || is_silent(d, s, now)) ||
                                in_use(s->id, s->conn, userdata))
                        continue;
                if (settled)
                        return s;
                if (!silent || s->used < silent->used)
                        silent = s;
        }
        return silent;
}

int dedup_index_evict(DedupIndex *d, uint64_t now, DedupInUse in_use, void *userdata, sd_id128_t *ret)
{
        StreamState *s = find_spare(d, now, in_use, userdata);

        if (!s)
                return -ENOENT;
        const int n = (int) sequence_index_count(&s->entries); /* a window of them at most */
        *ret = s->id;
        drop_stream(d, s);
        return n;
}

size_t dedup_index_entries(const DedupIndex *d)
{
        return d->n_entries;
}
