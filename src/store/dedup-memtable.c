/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/dedup-memtable.h"

#include <errno.h>
#include <stdlib.h>
#include <uthash.h>

#include "base/random.h"
#include "base/slab.h"
#include "model/sequence-index.h"
#include "store/dedup-redo.h"

typedef struct OutcomeEntry {
        SequenceEntry by_sequence;
        sd_id128_t message;
        uint32_t attempt, at; /* in the log */
        Outcome outcome;
} OutcomeEntry;

typedef struct StreamEntry {
        sd_id128_t id; /* key */
        SequenceIndex outcomes;
        uint32_t prune_at; /* in the log; 0: no prune */
        uint64_t low;      /* of that prune: no outcome below it is in `outcomes` */
        UT_hash_handle hh;
} StreamEntry;

typedef struct DedupTable {
        Slab slab; /* of outcomes */
        StreamEntry *streams;
        StreamEntry *last; /* the next record mostly is of the same one */
        size_t n_outcomes;
        uint64_t seed; /* senders choose sequences */
} DedupTable;

static StreamEntry *get_stream(DedupTable *t, sd_id128_t id)
{
        StreamEntry *s;

        if (t->last && sd_id128_equal(t->last->id, id))
                return t->last;
        HASH_FIND(hh, t->streams, &id, sizeof id, s);
        if (!s) {
                s = calloc(1, sizeof *s);
                if (!s)
                        return NULL;
                s->id = id;
                s->low = 1;
                sequence_index_init(&s->outcomes, t->seed);
                HASH_ADD(hh, t->streams, id, sizeof s->id, s);
        }
        t->last = s;
        return s;
}

static OutcomeEntry *entry_of(SequenceEntry *e)
{
        return e ? CONTAINER_OF(e, OutcomeEntry, by_sequence) : NULL;
}

static int add(DedupTable *t, StreamEntry *s, const DedupRecord *record, uint32_t at)
{
        OutcomeEntry *o = slab_new(&t->slab, sizeof *o);

        if (!o)
                return -ENOMEM;
        *o = (OutcomeEntry){.message = record->message,
                        .attempt = record->attempt,
                        .at = at,
                        .outcome = record->outcome};
        if (sequence_index_add(&s->outcomes, &o->by_sequence, record->sequence) < 0) {
                slab_free(&t->slab, o, sizeof *o);
                return -ENOMEM;
        }
        t->n_outcomes++;
        return 0;
}

static int apply_outcome(DedupTable *t, StreamEntry *s, const DedupRecord *record, uint32_t at)
{
        /* Settled before it was recorded: nobody will ask for it. */
        if (record->sequence < s->low)
                return 0;
        OutcomeEntry *o = entry_of(sequence_index_find(&s->outcomes, record->sequence));
        if (!o)
                return add(t, s, record, at);
        if (o->outcome == OUTCOME_FAILED && o->attempt < record->attempt &&
                        sd_id128_equal(o->message, record->message)) {
                o->attempt = record->attempt;
                o->outcome = record->outcome;
                o->at = at;
        }
        return 0;
}

static void drop(DedupTable *t, StreamEntry *s, OutcomeEntry *o)
{
        sequence_index_remove(&s->outcomes, &o->by_sequence);
        slab_free(&t->slab, o, sizeof *o);
        t->n_outcomes--;
}

static void apply_prune(DedupTable *t, StreamEntry *s, const SequenceSet *settled, uint32_t at)
{
        SettledCursor cursor = settled_cursor(&s->outcomes, settled, s->low);
        OutcomeEntry *o;

        while ((o = entry_of(settled_cursor_next(&cursor))))
                drop(t, s, o);
        s->prune_at = at;
        s->low = settled->low;
}

static int apply(void *userdata, const uint8_t *data, size_t size, uint32_t at)
{
        DedupTable *t = userdata;
        DedupRedoRecord record;
        int r = dedup_redo_take(data, size, &record);

        if (r < 0)
                return r;
        StreamEntry *s = get_stream(t, record.outcome.stream);
        if (!s)
                r = -ENOMEM;
        else if (record.type == DEDUP_REDO_PRUNE)
                apply_prune(t, s, &record.settled, at);
        else
                r = apply_outcome(t, s, &record.outcome, at);
        sequence_set_clear(&record.settled);
        return r;
}

static int flush_record(Redo *redo, uint32_t at, sqlite3 *sql)
{
        DedupRedoRecord record;
        size_t size;
        const uint8_t *data = redo_at(redo, at, &size);
        int r = dedup_redo_take(data, size, &record);

        if (r < 0)
                return r;
        if (record.type == DEDUP_REDO_PRUNE)
                r = dedup_tables_prune(sql, record.outcome.stream, &record.settled);
        else
                r = dedup_tables_record(sql, &record.outcome, record.reply.data, record.reply.size);
        sequence_set_clear(&record.settled);
        return r;
}

static int flush(void *userdata, Redo *redo, sqlite3 *sql)
{
        const DedupTable *t = userdata;
        int r = 0;

        for (const StreamEntry *s = t->streams; s && r >= 0; s = s->hh.next) {
                SequenceCursor cursor = {};
                OutcomeEntry *o;

                if (s->prune_at > 0)
                        r = flush_record(redo, s->prune_at, sql);
                while (r >= 0 && (o = entry_of(sequence_index_each(&s->outcomes, &cursor))))
                        r = flush_record(redo, o->at, sql);
        }
        return r;
}

static void clear(void *userdata)
{
        DedupTable *t = userdata;
        StreamEntry *s, *next_stream;

        t->last = NULL;
        HASH_ITER(hh, t->streams, s, next_stream) {
                SequenceCursor cursor = {};
                OutcomeEntry *o;

                while ((o = entry_of(sequence_index_each(&s->outcomes, &cursor))))
                        drop(t, s, o);
                sequence_index_clear(&s->outcomes);
                HASH_DELETE(hh, t->streams, s);
                free(s);
        }
}

static size_t count(const void *userdata)
{
        return ((const DedupTable *) userdata)->n_outcomes;
}

static void table_free(void *userdata)
{
        DedupTable *t = userdata;

        clear(t);
        slab_clear(&t->slab);
        free(t);
}

int dedup_memtable_new(Memtable *ret)
{
        DedupTable *t = calloc(1, sizeof *t);

        if (!t)
                return -ENOMEM;
        (void) random_bytes(&t->seed, sizeof t->seed);
        *ret = (Memtable){apply, flush, clear, count, table_free, t, NULL};
        return 0;
}
