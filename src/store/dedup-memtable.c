/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The part of a receiver's outcomes that only the redo log has: for each stream where its outcomes stand,
 * and where it was said last what of it is settled. An outcome that is settled before the log is full never
 * reaches the tables. */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <uthash.h>

#include "base/bytes.h"
#include "base/hash-index.h"
#include "base/slab.h"
#include "store/dedup-tables.h"
#include "store/redo.h"

typedef enum RecordType { RECORD_OUTCOME = 1, RECORD_PRUNE } RecordType;

typedef struct HotOutcome {
        uint64_t sequence;
        sd_id128_t message;
        uint32_t attempt, at; /* in the log */
        Outcome outcome;
        IndexItem by_sequence;
} HotOutcome;

typedef struct HotStream {
        sd_id128_t id; /* key */
        Index outcomes;
        uint32_t prune_at; /* 0: not there */
        uint64_t low;      /* as it was said there: what is below is not in `outcomes` */
        UT_hash_handle hh;
} HotStream;

typedef struct Hot {
        Slab slab; /* of outcomes */
        HotStream *streams;
        HotStream *last; /* the next outcome is mostly of the same one */
        size_t n_outcomes;
        uint64_t seed; /* sequences are chosen by senders */
} Hot;

/* Records. */

static sd_id128_t take_id(Reader *in)
{
        sd_id128_t id;

        take_copy(in, id.bytes, sizeof id.bytes);
        return id;
}

int dedup_redo_record(const DbOp *op, Buffer *out)
{
        const DedupRecordOp *o = CONTAINER_OF(op, DedupRecordOp, op);

        if (!buffer_reserve(out, 64 + o->reply_size))
                return -ENOMEM;
        put_u8(out, RECORD_OUTCOME);
        put_bytes(out, o->record.stream.bytes, sizeof o->record.stream);
        put_u64(out, o->record.sequence);
        put_bytes(out, o->record.message.bytes, sizeof o->record.message);
        put_u32(out, o->record.attempt);
        put_u8(out, (uint8_t) o->record.outcome);
        put_bytes(out, o->reply, o->reply_size);
        return 0;
}

int dedup_redo_prune(const DbOp *op, Buffer *out)
{
        const DedupPruneOp *o = CONTAINER_OF(op, DedupPruneOp, op);
        const SequenceSet *set = o->settled;

        if (!buffer_reserve(out, 64 + set->n_ranges * 16))
                return -ENOMEM;
        put_u8(out, RECORD_PRUNE);
        put_bytes(out, o->stream.bytes, sizeof o->stream);
        put_u64(out, set->low);
        for (size_t i = 0; i < set->n_ranges; i++) {
                put_u64(out, set->ranges[i].first);
                put_u64(out, set->ranges[i].last);
        }
        return 0;
}

/* Behind type and stream. */
static int take_set(Reader *in, SequenceSet *ret)
{
        int r = sequence_set_add_below(ret, take_u64(in));

        while (in->left > 0 && !in->bad && r >= 0) {
                uint64_t first = take_u64(in);
                r = sequence_set_add(ret, first, take_u64(in));
        }
        return r < 0 ? r : in->bad ? -EUCLEAN : 0;
}

/* Learning. */

static HotStream *get_stream(Hot *h, sd_id128_t id)
{
        HotStream *s;

        if (h->last && sd_id128_equal(h->last->id, id))
                return h->last;
        HASH_FIND(hh, h->streams, &id, sizeof id, s);
        if (!s) {
                s = calloc(1, sizeof *s);
                if (!s)
                        return NULL;
                s->id = id;
                s->low = 1;
                HASH_ADD(hh, h->streams, id, sizeof s->id, s);
        }
        h->last = s;
        return s;
}

static uint32_t hash(const Hot *h, uint64_t sequence)
{
        return index_hash(h->seed, &sequence, sizeof sequence);
}

static HotOutcome *find(const Hot *h, const HotStream *s, uint64_t sequence)
{
        IndexItem *i = index_first(&s->outcomes, hash(h, sequence));

        for (; i; i = index_next(i)) {
                HotOutcome *o = CONTAINER_OF(i, HotOutcome, by_sequence);
                if (o->sequence == sequence)
                        return o;
        }
        return NULL;
}

static int add(Hot *h, HotStream *s, const HotOutcome *heard)
{
        HotOutcome *o = slab_new(&h->slab, sizeof *o);

        if (!o)
                return -ENOMEM;
        *o = *heard;
        if (index_add(&s->outcomes, &o->by_sequence, hash(h, o->sequence)) < 0) {
                slab_free(&h->slab, o, sizeof *o);
                return -ENOMEM;
        }
        h->n_outcomes++;
        return 0;
}

static int learn_outcome(Hot *h, HotStream *s, Reader *in, uint32_t at)
{
        HotOutcome *o, heard = {.at = at};

        heard.sequence = take_u64(in);
        heard.message = take_id(in);
        heard.attempt = take_u32(in);
        heard.outcome = (Outcome) take_u8(in);
        if (in->bad)
                return -EUCLEAN;
        /* Settled before it was recorded: nobody will ask. */
        if (heard.sequence < s->low)
                return 0;
        o = find(h, s, heard.sequence);
        if (!o)
                return add(h, s, &heard);
        if (o->outcome == OUTCOME_FAILED && o->attempt < heard.attempt &&
                        sd_id128_equal(o->message, heard.message)) {
                o->attempt = heard.attempt;
                o->outcome = heard.outcome;
                o->at = at;
        }
        return 0;
}

static void drop(Hot *h, HotStream *s, HotOutcome *o)
{
        index_remove(&s->outcomes, &o->by_sequence);
        slab_free(&h->slab, o, sizeof *o);
        h->n_outcomes--;
}

/* Those that are settled from `from` on; below they are gone. One by one, or by a walk over all that are
 * there, whichever is shorter. */
static void drop_settled(Hot *h, HotStream *s, const SequenceSet *settled, uint64_t from)
{
        IndexCursor cursor = {};
        IndexItem *i;

        if (sequence_set_count(settled, from) < s->outcomes.n_buckets) {
                for (; (from = sequence_set_first(settled, from)) < UINT64_MAX; from++) {
                        HotOutcome *o = find(h, s, from);
                        if (o)
                                drop(h, s, o);
                }
                return;
        }
        while ((i = index_each(&s->outcomes, &cursor))) {
                HotOutcome *o = CONTAINER_OF(i, HotOutcome, by_sequence);
                if (sequence_set_contains(settled, o->sequence))
                        drop(h, s, o);
        }
}

static int learn_prune(Hot *h, HotStream *s, Reader *in, uint32_t at)
{
        SequenceSet set;
        int r;

        sequence_set_init(&set);
        r = take_set(in, &set);
        if (r >= 0) {
                drop_settled(h, s, &set, s->low);
                s->prune_at = at;
                s->low = set.low;
        }
        sequence_set_clear(&set);
        return r;
}

static int learn(void *userdata, const uint8_t *record, size_t size, uint32_t at)
{
        Reader in = {record, size, false};
        RecordType type = (RecordType) take_u8(&in);
        Hot *h = userdata;
        HotStream *s = get_stream(h, take_id(&in));

        if (!s)
                return -ENOMEM;
        if (type == RECORD_PRUNE)
                return learn_prune(h, s, &in, at);
        return type == RECORD_OUTCOME ? learn_outcome(h, s, &in, at) : -EUCLEAN;
}

/* Flushing. */

static Reader reader_at(Redo *redo, uint32_t at)
{
        Reader in = {};

        in.data = redo_at(redo, at, &in.left);
        (void) take_u8(&in);
        return in;
}

static int flush_prune(const HotStream *s, Redo *redo, sqlite3 *sql)
{
        Reader in = reader_at(redo, s->prune_at);
        SequenceSet set;
        int r;

        sequence_set_init(&set);
        (void) take_id(&in);
        r = take_set(&in, &set);
        if (r >= 0)
                r = dedup_tables_prune(sql, s->id, &set);
        sequence_set_clear(&set);
        return r;
}

static int flush_outcome(const HotOutcome *o, Redo *redo, sqlite3 *sql)
{
        Reader in = reader_at(redo, o->at);
        DedupRecord record = {.stream = take_id(&in)};

        record.sequence = take_u64(&in);
        record.message = take_id(&in);
        record.attempt = take_u32(&in);
        record.outcome = (Outcome) take_u8(&in);
        Bytes reply = take_rest(&in);
        return in.bad ? -EUCLEAN : dedup_tables_record(sql, &record, reply.data, reply.size);
}

static int flush_stream(const HotStream *s, Redo *redo, sqlite3 *sql)
{
        int r = s->prune_at > 0 ? flush_prune(s, redo, sql) : 0;
        IndexCursor cursor = {};
        const IndexItem *i;

        while (r >= 0 && (i = index_each(&s->outcomes, &cursor)))
                r = flush_outcome(CONTAINER_OF(i, HotOutcome, by_sequence), redo, sql);
        return r;
}

static int flush(void *userdata, Redo *redo, sqlite3 *sql)
{
        const Hot *h = userdata;
        int r = 0;

        for (const HotStream *s = h->streams; s && r >= 0; s = s->hh.next)
                r = flush_stream(s, redo, sql);
        return r;
}

static void forget(void *userdata)
{
        Hot *h = userdata;
        HotStream *s, *next_stream;

        h->last = NULL;
        HASH_ITER(hh, h->streams, s, next_stream) {
                IndexCursor cursor = {};
                IndexItem *i;

                while ((i = index_each(&s->outcomes, &cursor)))
                        drop(h, s, CONTAINER_OF(i, HotOutcome, by_sequence));
                index_clear(&s->outcomes);
                HASH_DELETE(hh, h->streams, s);
                free(s);
        }
}

static size_t count(const void *userdata)
{
        return ((const Hot *) userdata)->n_outcomes;
}

static void hot_free(void *userdata)
{
        Hot *h = userdata;

        forget(h);
        slab_clear(&h->slab);
        free(h);
}

int dedup_hot_new(DbHot *ret)
{
        Hot *h = calloc(1, sizeof *h);

        if (!h)
                return -ENOMEM;
        (void) !getentropy(&h->seed, sizeof h->seed);
        *ret = (DbHot){learn, flush, forget, count, hot_free, h};
        return 0;
}
