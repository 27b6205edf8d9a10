/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The part of the outbox that only the redo log has: for each delivery where its records stand. A message
 * that is accepted, sent and acked before the log is full never reaches the tables, but for the newest ones,
 * which are history. */

#include <errno.h>
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/hash-index.h"
#include "base/slab.h"
#include "base/str-util.h"
#include "store/outbox-tables.h"
#include "store/redo.h"

typedef enum RecordType { RECORD_INSERT = 1, RECORD_SAVE, RECORD_TRIM, RECORD_STREAM } RecordType;

typedef struct HotDelivery HotDelivery;
struct HotDelivery {
        uint64_t number;
        uint32_t member;
        uint32_t insert_at, save_at; /* in the log; 0: not there */
        bool listed;                 /* in `settled` */
        HotDelivery *prev, *next;
        IndexItem by_key;
};

typedef struct HotStream {
        struct {
                sd_id128_t stream, receiver;
        } key;
        UT_hash_handle hh;
} HotStream;

typedef struct Hot {
        Slab slab; /* of deliveries */
        Index deliveries;
        HotDelivery *settled[2]; /* acked, cancelled, never in the tables: oldest first */
        size_t n_settled[2];
        HotStream *streams;
        HotStream *last_stream; /* the next record is mostly of the same one */
        bool trim;              /* is wanted, so: */
        unsigned keep;
        uint64_t keys_since_usec;
} Hot;

/* Records. */

static void put_id(Buffer *out, sd_id128_t id)
{
        put_bytes(out, id.bytes, sizeof id.bytes);
}

static sd_id128_t take_id(Reader *in)
{
        sd_id128_t id;

        take_copy(in, id.bytes, sizeof id.bytes);
        return id;
}

static void put_text(Buffer *out, const char *text)
{
        size_t n = text ? strlen(text) : 0;

        put_u16(out, (uint16_t) n);
        put_bytes(out, text, n);
}

static char *take_text(Reader *in)
{
        Bytes b = take_bytes(in, take_u16(in));

        return strndup((const char *) b.data, b.size);
}

/* The front is what learn() reads: type, number, member, state, stream, receiver. */
static int put_progress(Buffer *out, RecordType type, const OutboxRecord *r, size_t more)
{
        size_t texts = (r->error ? strlen(r->error) : 0) + strlen(r->receiver_name);

        if (texts > UINT16_MAX || !buffer_reserve(out, 128 + texts + r->reply_size + more))
                return texts > UINT16_MAX ? -ENOTSUP : -ENOMEM;
        put_u8(out, (uint8_t) type);
        put_u64(out, r->number);
        put_u32(out, r->member);
        put_u8(out, (uint8_t) r->state);
        put_id(out, r->stream);
        put_id(out, r->receiver);
        put_u64(out, r->sequence);
        put_u32(out, r->attempts);
        put_u8(out, r->duplicate);
        put_u64(out, r->sent_usec);
        put_u64(out, r->settled_usec);
        put_u64(out, r->wake_usec);
        put_text(out, r->receiver_name);
        put_text(out, r->error);
        put_u32(out, (uint32_t) r->reply_size);
        put_bytes(out, r->reply, r->reply_size);
        return 0;
}

static int take_progress(Reader *in, OutboxRecord *r)
{
        (void) take_u8(in);
        r->number = take_u64(in);
        r->member = take_u32(in);
        r->state = (DeliveryState) take_u8(in);
        r->stream = take_id(in);
        r->receiver = take_id(in);
        r->sequence = take_u64(in);
        r->attempts = take_u32(in);
        r->duplicate = take_u8(in);
        r->sent_usec = take_u64(in);
        r->settled_usec = take_u64(in);
        r->wake_usec = take_u64(in);
        Bytes name = take_bytes(in, take_u16(in));
        if (name.size >= sizeof r->receiver_name)
                return -EUCLEAN;
        memcpy(r->receiver_name, name.data, name.size);
        r->receiver_name[name.size] = '\0';
        free(r->error);
        r->error = take_text(in);
        Bytes reply = take_bytes(in, take_u32(in));
        free(r->reply);
        r->reply = reply.size > 0 ? malloc(reply.size) : NULL;
        r->reply_size = reply.size;
        if (!r->error || (reply.size > 0 && !r->reply))
                return -ENOMEM;
        if (reply.size > 0)
                memcpy(r->reply, reply.data, reply.size);
        return in->bad ? -EUCLEAN : 0;
}

int outbox_redo_insert(const DbOp *op, Buffer *out)
{
        const OutboxInsertOp *o = CONTAINER_OF(op, OutboxInsertOp, op);
        const OutboxRecord *r = &o->record;
        const Policy *p = &r->policy;
        size_t texts = strlen(r->target) + strlen(r->queue);
        int x;

        /* What must be unique, or is several rows, is for the tables. */
        if (o->key || o->n_members > 0 || texts > UINT16_MAX)
                return -ENOTSUP;
        x = put_progress(out, RECORD_INSERT, r, 128 + texts + r->size);
        if (x < 0)
                return x;
        put_id(out, r->id);
        put_u64(out, r->accepted_usec);
        put_text(out, r->target);
        put_text(out, r->queue);
        put_u64(out, p->ack_timeout_usec);
        put_u64(out, p->backoff_usec);
        put_u64(out, p->backoff_max_usec);
        put_u64(out, p->max_attempts);
        put_u64(out, p->start_usec);
        put_u64(out, p->deadline_usec);
        put_u32(out, p->priority);
        put_bytes(out, o->payload, r->size);
        return 0;
}

static int take_insert(Reader *in, OutboxInsertOp *o)
{
        OutboxRecord *r = &o->record;
        Policy *p = &r->policy;
        int x = take_progress(in, r);

        if (x < 0)
                return x;
        r->id = take_id(in);
        r->accepted_usec = take_u64(in);
        r->target = take_text(in);
        r->queue = take_text(in);
        p->ack_timeout_usec = take_u64(in);
        p->backoff_usec = take_u64(in);
        p->backoff_max_usec = take_u64(in);
        p->max_attempts = take_u64(in);
        p->start_usec = take_u64(in);
        p->deadline_usec = take_u64(in);
        p->priority = take_u32(in);
        Bytes payload = take_rest(in);
        o->payload = payload.data;
        r->size = payload.size;
        if (!r->target || !r->queue)
                return -ENOMEM;
        return in->bad ? -EUCLEAN : 0;
}

int outbox_redo_save(const DbOp *op, Buffer *out)
{
        const OutboxSaveOp *o = CONTAINER_OF(op, OutboxSaveOp, op);

        return o->attempts ? -ENOTSUP : put_progress(out, RECORD_SAVE, &o->record, 0);
}

int outbox_redo_trim(const DbOp *op, Buffer *out)
{
        const OutboxTrimOp *o = CONTAINER_OF(op, OutboxTrimOp, op);

        if (!buffer_reserve(out, 16))
                return -ENOMEM;
        put_u8(out, RECORD_TRIM);
        put_u32(out, o->keep);
        put_u64(out, o->keys_since_usec);
        return 0;
}

int outbox_redo_stream(const DbOp *op, Buffer *out)
{
        const OutboxStreamOp *o = CONTAINER_OF(op, OutboxStreamOp, op);

        if (!o->keep)
                return -ENOTSUP;
        if (!buffer_reserve(out, 64))
                return -ENOMEM;
        put_u8(out, RECORD_STREAM);
        put_id(out, o->stream);
        put_id(out, o->receiver);
        return 0;
}

/* Learning. */

/* Numbers are given out in turn: they spread by themselves. */
static uint32_t hash(uint64_t number, uint32_t member)
{
        return (uint32_t) number + member * UINT32_C(0x9e3779b9);
}

static HotDelivery *find(const Hot *h, uint64_t number, uint32_t member)
{
        IndexItem *i = index_first(&h->deliveries, hash(number, member));

        for (; i; i = index_next(i)) {
                HotDelivery *d = CONTAINER_OF(i, HotDelivery, by_key);
                if (d->number == number && d->member == member)
                        return d;
        }
        return NULL;
}

static HotDelivery *add(Hot *h, uint64_t number, uint32_t member)
{
        HotDelivery *d = slab_zero(&h->slab, sizeof *d);

        if (!d)
                return NULL;
        d->number = number;
        d->member = member;
        if (index_add(&h->deliveries, &d->by_key, hash(number, member)) >= 0)
                return d;
        slab_free(&h->slab, d, sizeof *d);
        return NULL;
}

static int slot_of(DeliveryState state)
{
        return state == DELIVERY_ACKED ? 0 : state == DELIVERY_CANCELLED ? 1 : -1;
}

static void drop(Hot *h, HotDelivery *d)
{
        index_remove(&h->deliveries, &d->by_key);
        slab_free(&h->slab, d, sizeof *d);
}

static int learn_stream(Hot *h, sd_id128_t stream, sd_id128_t receiver)
{
        HotStream *s = h->last_stream, wanted = {.key = {stream, receiver}};

        if (sd_id128_is_null(stream) || (s && memcmp(&s->key, &wanted.key, sizeof s->key) == 0))
                return 0;
        HASH_FIND(hh, h->streams, &wanted.key, sizeof wanted.key, s);
        if (!s) {
                s = calloc(1, sizeof *s);
                if (!s)
                        return -ENOMEM;
                s->key = wanted.key;
                HASH_ADD(hh, h->streams, key, sizeof s->key, s);
        }
        h->last_stream = s;
        return 0;
}

static void learn_trim(Hot *h, Reader *in)
{
        h->trim = true;
        h->keep = take_u32(in);
        h->keys_since_usec = take_u64(in);
        for (size_t i = 0; i < ELEMENTSOF(h->settled); i++)
                for (; h->n_settled[i] > h->keep; h->n_settled[i]--) {
                        HotDelivery *oldest = h->settled[i];
                        DL_DELETE(h->settled[i], oldest);
                        drop(h, oldest);
                }
}

static int learn(void *userdata, const uint8_t *record, size_t size, uint32_t at)
{
        Reader in = {record, size, false};
        RecordType type = (RecordType) take_u8(&in);
        Hot *h = userdata;

        if (type == RECORD_TRIM) {
                learn_trim(h, &in);
                return in.bad ? -EUCLEAN : 0;
        }
        if (type == RECORD_STREAM) {
                sd_id128_t named = take_id(&in);
                return learn_stream(h, named, take_id(&in));
        }
        uint64_t number = take_u64(&in);
        uint32_t member = take_u32(&in);
        int slot = slot_of((DeliveryState) take_u8(&in));
        sd_id128_t stream = take_id(&in), receiver = take_id(&in);
        if (in.bad || (type != RECORD_INSERT && type != RECORD_SAVE))
                return -EUCLEAN;
        HotDelivery *d = find(h, number, member) ?: add(h, number, member);
        if (!d)
                return -ENOMEM;
        *(type == RECORD_INSERT ? &d->insert_at : &d->save_at) = at;
        if (slot >= 0 && d->insert_at > 0 && !d->listed) {
                d->listed = true;
                DL_APPEND(h->settled[slot], d);
                h->n_settled[slot]++;
        }
        return learn_stream(h, stream, receiver);
}

/* Flushing. */

static int flush_one(const HotDelivery *d, Redo *redo, sqlite3 *sql)
{
        OutboxInsertOp o = {};
        Reader in = {};
        int r = 0;

        if (d->insert_at > 0) {
                in.data = redo_at(redo, d->insert_at, &in.left);
                r = take_insert(&in, &o);
        }
        if (r >= 0 && d->save_at > 0) {
                in = (Reader){};
                in.data = redo_at(redo, d->save_at, &in.left);
                r = take_progress(&in, &o.record);
        }
        /* What is only history is written as that, once. */
        if (slot_of(o.record.state) >= 0)
                o.payload = NULL;
        if (r >= 0)
                r = d->insert_at > 0 ? outbox_tables_insert(sql, &o)
                                     : outbox_tables_save(sql, &o.record, NULL);
        outbox_record_clear(&o.record);
        return r;
}

static int compare(const void *x, const void *y)
{
        const HotDelivery *a = *(const HotDelivery *const *) x, *b = *(const HotDelivery *const *) y;

        return a->number != b->number ? (a->number < b->number ? -1 : 1) : (int) a->member - (int) b->member;
}

/* In the order of the tables, which is then written at its end. */
static HotDelivery **sorted(const Hot *h)
{
        HotDelivery **all = calloc(h->deliveries.n_items + 1, sizeof *all);
        IndexCursor cursor = {};
        IndexItem *i;
        size_t n = 0;

        while (all && (i = index_each(&h->deliveries, &cursor)))
                all[n++] = CONTAINER_OF(i, HotDelivery, by_key);
        if (n > 0)
                qsort(all, n, sizeof *all, compare);
        return all;
}

static int flush(void *userdata, Redo *redo, sqlite3 *sql)
{
        Hot *h = userdata;
        _cleanup_free_ HotDelivery **deliveries = sorted(h);
        int r = deliveries ? 0 : -ENOMEM;

        for (size_t i = 0; i < h->deliveries.n_items && r >= 0; i++)
                r = flush_one(deliveries[i], redo, sql);
        for (const HotStream *s = h->streams; s && r >= 0; s = s->hh.next)
                r = outbox_tables_stream(sql, s->key.stream, s->key.receiver);
        if (r >= 0 && h->trim)
                r = outbox_tables_trim(sql, h->keep, h->keys_since_usec);
        return r;
}

static void forget(void *userdata)
{
        Hot *h = userdata;
        HotStream *s, *next_stream;
        IndexCursor cursor = {};
        IndexItem *i;

        while ((i = index_each(&h->deliveries, &cursor)))
                drop(h, CONTAINER_OF(i, HotDelivery, by_key));
        HASH_ITER(hh, h->streams, s, next_stream) {
                HASH_DELETE(hh, h->streams, s);
                free(s);
        }
        *h = (Hot){.slab = h->slab, .deliveries = h->deliveries};
}

static size_t count(const void *userdata)
{
        const Hot *h = userdata;

        return h->deliveries.n_items;
}

static void hot_free(void *userdata)
{
        Hot *h = userdata;

        forget(h);
        index_clear(&h->deliveries);
        slab_clear(&h->slab);
        free(h);
}

int outbox_hot_new(DbHot *ret)
{
        Hot *h = calloc(1, sizeof *h);

        if (!h)
                return -ENOMEM;
        *ret = (DbHot){learn, flush, forget, count, hot_free, h};
        return 0;
}
