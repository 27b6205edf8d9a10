/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/outbox-redo.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"

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

/* The front of the record is what outbox_redo_take_head() reads. */
static int put_progress(Buffer *out, OutboxRedoType type, const OutboxRecord *r, size_t more)
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
        put_u8(out, (uint8_t) outbox_record_flags(r));
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
        outbox_record_set_flags(r, take_u8(in));
        r->sent_usec = take_u64(in);
        r->settled_usec = take_u64(in);
        r->wake_usec = take_u64(in);
        Bytes name = take_bytes(in, take_u16(in));
        if (name.size >= sizeof r->receiver_name || r->state >= _DELIVERY_STATE_MAX)
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

int outbox_redo_put_insert(Buffer *out, const OutboxRecord *r, const void *payload)
{
        const Policy *p = &r->policy;
        size_t texts = strlen(r->target) + strlen(r->queue);
        int x;

        if (texts > UINT16_MAX)
                return -ENOTSUP;
        x = put_progress(out, OUTBOX_REDO_INSERT, r, 128 + texts + r->size);
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
        put_bytes(out, payload, r->size);
        return 0;
}

int outbox_redo_put_save(Buffer *out, const OutboxRecord *record)
{
        return put_progress(out, OUTBOX_REDO_SAVE, record, 0);
}

int outbox_redo_put_trim(Buffer *out, unsigned keep, uint64_t keys_since_usec)
{
        if (!buffer_reserve(out, 16))
                return -ENOMEM;
        put_u8(out, OUTBOX_REDO_TRIM);
        put_u32(out, keep);
        put_u64(out, keys_since_usec);
        return 0;
}

int outbox_redo_put_stream(Buffer *out, sd_id128_t stream, sd_id128_t receiver)
{
        if (!buffer_reserve(out, 64))
                return -ENOMEM;
        put_u8(out, OUTBOX_REDO_STREAM);
        put_id(out, stream);
        put_id(out, receiver);
        return 0;
}

int outbox_redo_take_head(const uint8_t *data, size_t size, OutboxRedoHead *ret)
{
        Reader in = {data, size, false};
        OutboxRedoHead head = {.type = (OutboxRedoType) take_u8(&in)};

        switch (head.type) {
        case OUTBOX_REDO_TRIM:
                head.keep = take_u32(&in);
                head.keys_since_usec = take_u64(&in);
                break;
        case OUTBOX_REDO_INSERT:
        case OUTBOX_REDO_SAVE:
                head.number = take_u64(&in);
                head.member = take_u32(&in);
                head.state = (DeliveryState) take_u8(&in);
                head.stream = take_id(&in);
                head.receiver = take_id(&in);
                break;
        case OUTBOX_REDO_STREAM:
                head.stream = take_id(&in);
                head.receiver = take_id(&in);
                break;
        default:
                return -EUCLEAN;
        }
        if (in.bad || head.state >= _DELIVERY_STATE_MAX)
                return -EUCLEAN;
        *ret = head;
        return 0;
}

int outbox_redo_take_insert(const uint8_t *data, size_t size, OutboxRecord *r, const void **ret_payload)
{
        Reader in = {data, size, false};
        Policy *p = &r->policy;
        int x = take_progress(&in, r);

        if (x < 0)
                return x;
        r->id = take_id(&in);
        r->accepted_usec = take_u64(&in);
        r->target = take_text(&in);
        r->queue = take_text(&in);
        p->ack_timeout_usec = take_u64(&in);
        p->backoff_usec = take_u64(&in);
        p->backoff_max_usec = take_u64(&in);
        p->max_attempts = take_u64(&in);
        p->start_usec = take_u64(&in);
        p->deadline_usec = take_u64(&in);
        p->priority = take_u32(&in);
        Bytes payload = take_rest(&in);
        *ret_payload = payload.data;
        r->size = payload.size;
        if (!r->target || !r->queue)
                return -ENOMEM;
        return in.bad ? -EUCLEAN : 0;
}

int outbox_redo_take_save(const uint8_t *data, size_t size, OutboxRecord *record)
{
        Reader in = {data, size, false};

        return take_progress(&in, record);
}
