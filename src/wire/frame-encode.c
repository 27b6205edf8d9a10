/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "wire/frame.h"

static const uint8_t magic[4] = FRAME_MAGIC;

static void put_id(Buffer *out, sd_id128_t id)
{
        put_bytes(out, id.bytes, sizeof id.bytes);
}

static void put_short(Buffer *out, Bytes b)
{
        put_u8(out, (uint8_t) b.size);
        put_bytes(out, b.data, b.size);
}

static int frame_begin(Buffer *out, FrameType type, size_t length)
{
        if (!buffer_reserve(out, FRAME_HEADER_SIZE + length))
                return -ENOMEM;
        put_bytes(out, magic, sizeof magic);
        put_u8(out, (uint8_t) type);
        put_bytes(out, (uint8_t[3]){}, 3);
        put_u32(out, (uint32_t) length);
        return 0;
}

/* The body length of a frame. -EMSGSIZE: a part is over its limit. -EINVAL: not for frame_encode(). */
static ssize_t body_length(const Frame *f)
{
        switch (f->type) {
        case FRAME_HELLO:
                return f->hello.name.size > UINT8_MAX ? -EMSGSIZE : (ssize_t) (33 + f->hello.name.size);
        case FRAME_WELCOME:
                return f->welcome.name.size > UINT8_MAX ? -EMSGSIZE : (ssize_t) (45 + f->welcome.name.size);
        case FRAME_MESSAGE:
                if (f->message.payload.size > PAYLOAD_MAX || f->message.attributes.size > ATTRIBUTES_MAX)
                        return -EMSGSIZE;
                return (ssize_t) (50 + f->message.attributes.size + f->message.payload.size);
        case FRAME_CANCEL:
                return 40;
        case FRAME_ANSWER:
                return f->answer.data.size > REPLY_MAX ? -EMSGSIZE : (ssize_t) (49 + f->answer.data.size);
        case FRAME_PING:
        case FRAME_PONG:
                return 8;
        case FRAME_CREDIT:
                return 4;
        case FRAME_PRUNED:
                return 16;
        case FRAME_GOODBYE:
                return 1;
        case FRAME_ERROR:
                return (ssize_t) MIN(f->text.size, (size_t) ERROR_TEXT_MAX);
        case FRAME_SUBMIT:
                if (f->submit.payload.size > PAYLOAD_MAX || f->submit.attributes.size > ATTRIBUTES_MAX)
                        return -EMSGSIZE;
                return (ssize_t) (2 + f->submit.attributes.size + f->submit.payload.size);
        case FRAME_ACCEPTED:
                return (ssize_t) (8 + f->accepted.ids.size);
        case FRAME_REFUSED:
                if (f->refused.reason.size > UINT8_MAX || f->refused.text.size > ERROR_TEXT_MAX)
                        return -EMSGSIZE;
                return (ssize_t) (9 + f->refused.reason.size + f->refused.text.size);
        case FRAME_SETTLEMENT:
                return f->settlement.data.size > REPLY_MAX ? -EMSGSIZE
                                                           : (ssize_t) (13 + f->settlement.data.size);
        case FRAME_SETTLED:
        default:
                return -EINVAL;
        }
}

/* The frames between a program and its client. */
static void write_bulk_body(Buffer *out, const Frame *f)
{
        switch (f->type) {
        case FRAME_SUBMIT:
                put_u16(out, (uint16_t) f->submit.attributes.size);
                put_bytes(out, f->submit.attributes.data, f->submit.attributes.size);
                put_bytes(out, f->submit.payload.data, f->submit.payload.size);
                break;
        case FRAME_ACCEPTED:
                put_u64(out, f->accepted.first);
                put_bytes(out, f->accepted.ids.data, f->accepted.ids.size);
                break;
        case FRAME_REFUSED:
                put_u64(out, f->refused.number);
                put_short(out, f->refused.reason);
                put_bytes(out, f->refused.text.data, f->refused.text.size);
                break;
        case FRAME_SETTLEMENT:
                put_u64(out, f->settlement.number);
                put_u32(out, f->settlement.attempts);
                put_u8(out, f->settlement.cut ? SETTLEMENT_ACKED_CUT : (uint8_t) f->settlement.end);
                put_bytes(out, f->settlement.data.data, f->settlement.data.size);
                break;
        default: /* body_length() refuses it */
                break;
        }
}

static void write_body(Buffer *out, const Frame *f, size_t length)
{
        switch (f->type) {
        case FRAME_HELLO:
                put_id(out, f->hello.receiver);
                put_id(out, f->hello.sender);
                put_short(out, f->hello.name);
                break;
        case FRAME_WELCOME:
                put_id(out, f->welcome.receiver);
                put_id(out, f->welcome.instance);
                put_u32(out, f->welcome.credit);
                put_u32(out, f->welcome.window);
                put_u32(out, f->welcome.max_payload);
                put_short(out, f->welcome.name);
                break;
        case FRAME_MESSAGE:
                put_id(out, f->message.stream);
                put_u64(out, f->message.sequence);
                put_id(out, f->message.message);
                put_u32(out, f->message.attempt);
                put_u32(out, f->message.flags);
                put_u16(out, (uint16_t) f->message.attributes.size);
                put_bytes(out, f->message.attributes.data, f->message.attributes.size);
                put_bytes(out, f->message.payload.data, f->message.payload.size);
                break;
        case FRAME_CANCEL:
                put_id(out, f->cancel.stream);
                put_u64(out, f->cancel.sequence);
                put_id(out, f->cancel.message);
                break;
        case FRAME_ANSWER:
                put_id(out, f->answer.stream);
                put_u64(out, f->answer.sequence);
                put_id(out, f->answer.message);
                put_u32(out, f->answer.attempt);
                put_u32(out, f->answer.outcome == OUTCOME_ACKED ? f->answer.flags : f->answer.delay_ms);
                put_u8(out, (uint8_t) f->answer.outcome);
                put_bytes(out, f->answer.data.data, f->answer.data.size);
                break;
        case FRAME_PING:
        case FRAME_PONG:
                put_u64(out, f->token);
                break;
        case FRAME_CREDIT:
                put_u32(out, f->credit);
                break;
        case FRAME_PRUNED:
                put_id(out, f->stream);
                break;
        case FRAME_GOODBYE:
                put_u8(out, (uint8_t) f->reason);
                break;
        case FRAME_ERROR:
                put_bytes(out, f->text.data, length);
                break;
        default:
                write_bulk_body(out, f);
        }
}

int frame_encode(Buffer *out, const Frame *f)
{
        ssize_t length = body_length(f);
        int r;

        if (length < 0)
                return (int) length;
        r = frame_begin(out, f->type, (size_t) length);
        if (r < 0)
                return r;
        write_body(out, f, (size_t) length);
        return 0;
}

int frame_encode_settled(Buffer *out, sd_id128_t stream, uint32_t flags, const SequenceSet *set)
{
        size_t n = MIN(set->n_ranges, (size_t) STREAM_WINDOW);
        int r;

        r = frame_begin(out, FRAME_SETTLED, 30 + n * 16);
        if (r < 0)
                return r;
        put_id(out, stream);
        put_u32(out, flags);
        put_u64(out, set->low);
        put_u16(out, (uint16_t) n);
        for (size_t i = 0; i < n; i++) {
                put_u64(out, set->ranges[i].first);
                put_u64(out, set->ranges[i].last);
        }
        return 0;
}

Bytes frame_attribute_put_u32(uint8_t buffer[static ATTRIBUTE_U32_SIZE], uint8_t tag, uint32_t number)
{
        uint16_t size = htobe16(sizeof number);

        number = htobe32(number);
        buffer[0] = tag;
        memcpy(buffer + 1, &size, sizeof size);
        memcpy(buffer + 3, &number, sizeof number);
        return (Bytes){buffer, ATTRIBUTE_U32_SIZE};
}
