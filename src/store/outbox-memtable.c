/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/outbox-memtable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "base/cleanup.h"
#include "base/hash-index.h"
#include "base/slab.h"
#include "store/outbox-redo.h"
#include "store/outbox-states.h"
#include "store/outbox-tables.h"

typedef struct DeliveryEntry DeliveryEntry;
struct DeliveryEntry {
        uint64_t number;
        uint32_t member;
        uint32_t insert_at, save_at; /* in the log; 0: no such record */
        bool listed;                 /* in `settled` */
        DeliveryEntry *prev, *next;
        IndexItem by_key;
};

typedef struct StreamEntry {
        struct {
                sd_id128_t stream, receiver;
        } key;
        UT_hash_handle hh;
} StreamEntry;

typedef struct OutboxTable {
        Slab slab; /* of deliveries */
        Index deliveries;
        DeliveryEntry *settled[2]; /* acked, cancelled; inserted in this log; oldest first */
        size_t n_settled[2];
        StreamEntry *streams;
        StreamEntry *last_stream; /* the next record mostly names the same one */
        bool trim;                /* the tables are to be trimmed, with: */
        unsigned keep;
        uint64_t keys_since_usec;
} OutboxTable;

/* Numbers are consecutive, so they spread by themselves. */
static uint32_t hash(uint64_t number, uint32_t member)
{
        return (uint32_t) number + member * UINT32_C(0x9e3779b9);
}

static DeliveryEntry *find(const OutboxTable *t, uint64_t number, uint32_t member)
{
        IndexItem *i = index_first(&t->deliveries, hash(number, member));

        for (; i; i = index_next(i)) {
                DeliveryEntry *d = CONTAINER_OF(i, DeliveryEntry, by_key);
                if (d->number == number && d->member == member)
                        return d;
        }
        return NULL;
}

static DeliveryEntry *add(OutboxTable *t, uint64_t number, uint32_t member)
{
        DeliveryEntry *d = slab_zero(&t->slab, sizeof *d);

        if (!d)
                return NULL;
        d->number = number;
        d->member = member;
        if (index_add(&t->deliveries, &d->by_key, hash(number, member)) >= 0)
                return d;
        slab_free(&t->slab, d, sizeof *d);
        return NULL;
}

static int slot_of(DeliveryState state)
{
        return state == DELIVERY_ACKED ? 0 : state == DELIVERY_CANCELLED ? 1 : -1;
}

static void drop(OutboxTable *t, DeliveryEntry *d)
{
        index_remove(&t->deliveries, &d->by_key);
        slab_free(&t->slab, d, sizeof *d);
}

static int apply_stream(OutboxTable *t, sd_id128_t stream, sd_id128_t receiver)
{
        StreamEntry *s = t->last_stream, wanted = {.key = {stream, receiver}};

        if (sd_id128_is_null(stream) || (s && memcmp(&s->key, &wanted.key, sizeof s->key) == 0))
                return 0;
        HASH_FIND(hh, t->streams, &wanted.key, sizeof wanted.key, s);
        if (!s) {
                s = calloc(1, sizeof *s);
                if (!s)
                        return -ENOMEM;
                s->key = wanted.key;
                HASH_ADD(hh, t->streams, key, sizeof s->key, s);
        }
        t->last_stream = s;
        return 0;
}

static void apply_trim(OutboxTable *t, const OutboxRedoHead *head)
{
        t->trim = true;
        t->keep = head->keep;
        t->keys_since_usec = head->keys_since_usec;
        for (size_t i = 0; i < ELEMENTSOF(t->settled); i++)
                for (; t->n_settled[i] > t->keep; t->n_settled[i]--) {
                        DeliveryEntry *oldest = t->settled[i];
                        DL_DELETE(t->settled[i], oldest);
                        drop(t, oldest);
                }
}

static int apply_delivery(OutboxTable *t, const OutboxRedoHead *head, uint32_t at)
{
        DeliveryEntry *d = find(t, head->number, head->member) ?: add(t, head->number, head->member);
        const int slot = slot_of(head->state);

        if (!d)
                return -ENOMEM;
        *(head->type == OUTBOX_REDO_INSERT ? &d->insert_at : &d->save_at) = at;
        if (slot >= 0 && d->insert_at > 0 && !d->listed) {
                d->listed = true;
                DL_APPEND(t->settled[slot], d);
                t->n_settled[slot]++;
        }
        return apply_stream(t, head->stream, head->receiver);
}

static int apply(void *userdata, const uint8_t *record, size_t size, uint32_t at)
{
        OutboxRedoHead head;
        OutboxTable *t = userdata;
        int r = outbox_redo_take_head(record, size, &head);

        if (r < 0)
                return r;
        if (head.type == OUTBOX_REDO_TRIM) {
                apply_trim(t, &head);
                return 0;
        }
        return head.type == OUTBOX_REDO_STREAM ? apply_stream(t, head.stream, head.receiver)
                                               : apply_delivery(t, &head, at);
}

static int read_delivery(const DeliveryEntry *d, Redo *redo, OutboxRecord *record, const void **ret_payload)
{
        const uint8_t *data;
        size_t size;
        int r = 0;

        if (d->insert_at > 0) {
                data = redo_at(redo, d->insert_at, &size);
                r = outbox_redo_take_insert(data, size, record, ret_payload);
        }
        if (r >= 0 && d->save_at > 0) {
                data = redo_at(redo, d->save_at, &size);
                r = outbox_redo_take_save(data, size, record);
        }
        return r;
}

/* Behind tables that were salvaged, the log may begin too early. What they have is newer, or has lost
 * nothing that matters: it is a possible duplicate. */
static int insert(sqlite3 *sql, const OutboxRecord *record, const void *payload)
{
        int r = outbox_tables_insert(sql, record, payload, NULL);

        return r == -EEXIST && outbox_tables_have(sql, record) ? 0 : r;
}

static int flush_delivery(const DeliveryEntry *d, Redo *redo, sqlite3 *sql)
{
        OutboxRecord record = {};
        const void *payload = NULL;
        int r = read_delivery(d, redo, &record, &payload);

        /* A message that is acked or cancelled by now is written without its payload. */
        if (slot_of(record.state) >= 0)
                payload = NULL;
        if (r >= 0)
                r = d->insert_at > 0 ? insert(sql, &record, payload)
                                     : outbox_tables_save(sql, &record, NULL);
        outbox_record_clear(&record);
        return r;
}

static int compare(const void *x, const void *y)
{
        const DeliveryEntry *a = *(const DeliveryEntry *const *) x, *b = *(const DeliveryEntry *const *) y;

        return a->number != b->number ? (a->number < b->number ? -1 : 1) : (int) a->member - (int) b->member;
}

/* In the order of the tables, so that new rows go to their end. */
static DeliveryEntry **sorted(const OutboxTable *t)
{
        DeliveryEntry **all = calloc(t->deliveries.n_items + 1, sizeof *all);
        IndexCursor cursor = {};
        IndexItem *i;
        size_t n = 0;

        while (all && (i = index_each(&t->deliveries, &cursor)))
                all[n++] = CONTAINER_OF(i, DeliveryEntry, by_key);
        if (n > 0)
                qsort(all, n, sizeof *all, compare);
        return all;
}

static int flush(void *userdata, Redo *redo, sqlite3 *sql)
{
        OutboxTable *t = userdata;
        _cleanup_free_ DeliveryEntry **deliveries = sorted(t);
        int r = deliveries ? 0 : -ENOMEM;

        for (size_t i = 0; i < t->deliveries.n_items && r >= 0; i++)
                r = flush_delivery(deliveries[i], redo, sql);
        for (const StreamEntry *s = t->streams; s && r >= 0; s = s->hh.next)
                r = outbox_tables_add_stream(sql, s->key.stream, s->key.receiver);
        if (r >= 0 && t->trim)
                r = outbox_tables_trim(sql, t->keep, t->keys_since_usec, false);
        return r < 0 ? r : 0;
}

static void clear(void *userdata)
{
        OutboxTable *t = userdata;
        StreamEntry *s, *next_stream;
        IndexCursor cursor = {};
        IndexItem *i;

        while ((i = index_each(&t->deliveries, &cursor)))
                drop(t, CONTAINER_OF(i, DeliveryEntry, by_key));
        HASH_ITER(hh, t->streams, s, next_stream) {
                HASH_DELETE(hh, t->streams, s);
                free(s);
        }
        *t = (OutboxTable){.slab = t->slab, .deliveries = t->deliveries};
}

static size_t count(const void *userdata)
{
        const OutboxTable *t = userdata;

        return t->deliveries.n_items;
}

static void table_free(void *userdata)
{
        OutboxTable *t = userdata;

        clear(t);
        index_clear(&t->deliveries);
        slab_clear(&t->slab);
        free(t);
}

int outbox_memtable_new(Memtable *ret)
{
        OutboxTable *t = calloc(1, sizeof *t);

        if (!t)
                return -ENOMEM;
        *ret = (Memtable){apply, flush, clear, count, table_free, t, OUTBOX_SUSPECT};
        return 0;
}
