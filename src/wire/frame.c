/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/frame.h"

#include <errno.h>
#include <string.h>

static const uint8_t magic[4] = FRAME_MAGIC;

static sd_id128_t take_id(Reader *in)
{
        sd_id128_t id;

        take_copy(in, id.bytes, sizeof id.bytes);
        return id;
}

static void read_hello(Reader *in, Frame *f)
{
        f->hello.receiver = take_id(in);
        f->hello.sender = take_id(in);
        f->hello.name = take_bytes(in, take_u8(in));
}

static void read_welcome(Reader *in, Frame *f)
{
        f->welcome.receiver = take_id(in);
        f->welcome.instance = take_id(in);
        f->welcome.credit = take_u32(in);
        f->welcome.window = take_u32(in);
        f->welcome.max_payload = take_u32(in);
        f->welcome.name = take_bytes(in, take_u8(in));
}

static void read_message(Reader *in, Frame *f)
{
        f->message.stream = take_id(in);
        f->message.sequence = take_u64(in);
        f->message.message = take_id(in);
        f->message.attempt = take_u32(in);
        f->message.flags = take_u32(in);
        f->message.attributes = take_bytes(in, take_u16(in));
        f->message.payload = take_rest(in);
        if (f->message.sequence == 0 || f->message.attempt == 0 ||
                        f->message.attributes.size > ATTRIBUTES_MAX || f->message.payload.size > PAYLOAD_MAX)
                in->bad = true;
}

static void read_settled(Reader *in, Frame *f)
{
        uint64_t above;

        f->settled.stream = take_id(in);
        f->settled.flags = take_u32(in);
        f->settled.low = take_u64(in);
        f->settled.n_ranges = take_u16(in);
        f->settled.ranges = take_bytes(in, f->settled.n_ranges * 16);
        if (in->bad)
                return;

        /* The ranges must ascend and be disjoint, as a set encodes them. So the cost of applying them is
         * bounded by their number. */
        above = f->settled.low;
        for (size_t i = 0; i < f->settled.n_ranges && !in->bad; i++) {
                SequenceRange range = settled_frame_range(&f->settled, i);
                if (range.first <= above || range.last < range.first || range.last == UINT64_MAX)
                        in->bad = true;
                above = range.last + 1;
        }
        if (f->settled.low == 0 || f->settled.n_ranges > STREAM_WINDOW)
                in->bad = true;
}

static void read_cancel(Reader *in, Frame *f)
{
        f->cancel.stream = take_id(in);
        f->cancel.sequence = take_u64(in);
        f->cancel.message = take_id(in);
        if (f->cancel.sequence == 0)
                in->bad = true;
}

static void read_answer(Reader *in, Frame *f)
{
        f->answer.stream = take_id(in);
        f->answer.sequence = take_u64(in);
        f->answer.message = take_id(in);
        f->answer.attempt = take_u32(in);
        f->answer.delay_ms = take_u32(in);
        f->answer.outcome = (Outcome) take_u8(in);
        f->answer.data = take_rest(in);
        if (f->answer.outcome == OUTCOME_ACKED) {
                f->answer.flags = f->answer.delay_ms;
                f->answer.delay_ms = 0;
        }
        if (f->answer.sequence == 0 || f->answer.outcome < OUTCOME_ACKED ||
                        f->answer.outcome >= _OUTCOME_MAX || f->answer.data.size > REPLY_MAX)
                in->bad = true;
}

static void read_token(Reader *in, Frame *f)
{
        f->token = take_u64(in);
}

static void read_credit(Reader *in, Frame *f)
{
        f->credit = take_u32(in);
}

static void read_pruned(Reader *in, Frame *f)
{
        f->stream = take_id(in);
}

static void read_goodbye(Reader *in, Frame *f)
{
        f->reason = (GoodbyeReason) take_u8(in);
        if (f->reason != GOODBYE_RESTARTING && f->reason != GOODBYE_STOPPING)
                in->bad = true;
}

static void read_submit(Reader *in, Frame *f)
{
        f->submit.attributes = take_bytes(in, take_u16(in));
        f->submit.payload = take_rest(in);
        if (f->submit.attributes.size > ATTRIBUTES_MAX || f->submit.payload.size > PAYLOAD_MAX)
                in->bad = true;
}

static void read_accepted(Reader *in, Frame *f)
{
        f->accepted.first = take_u64(in);
        f->accepted.ids = take_rest(in);
        if (f->accepted.ids.size % sizeof(sd_id128_t) != 0)
                in->bad = true;
}

static void read_refused(Reader *in, Frame *f)
{
        f->refused.number = take_u64(in);
        f->refused.reason = take_bytes(in, take_u8(in));
        f->refused.text = take_rest(in);
        if (f->refused.text.size > ERROR_TEXT_MAX)
                in->bad = true;
}

static void read_settlement(Reader *in, Frame *f)
{
        f->settlement.number = take_u64(in);
        f->settlement.attempts = take_u32(in);
        uint8_t end = take_u8(in);
        f->settlement.cut = end == SETTLEMENT_ACKED_CUT;
        f->settlement.end = f->settlement.cut ? SETTLEMENT_ACKED : (SettlementEnd) end;
        f->settlement.data = take_rest(in);
        if (f->settlement.end < SETTLEMENT_ACKED || f->settlement.end >= _SETTLEMENT_MAX ||
                        f->settlement.data.size > REPLY_MAX)
                in->bad = true;
}

static void read_error(Reader *in, Frame *f)
{
        f->text = take_rest(in);
        if (f->text.size > ERROR_TEXT_MAX)
                in->bad = true;
}

static const struct {
        FrameType type;
        const char *name;
        void (*read)(Reader *in, Frame *f);
} kinds[] = {
                {FRAME_HELLO, "HELLO", read_hello},
                {FRAME_MESSAGE, "MESSAGE", read_message},
                {FRAME_SETTLED, "SETTLED", read_settled},
                {FRAME_CANCEL, "CANCEL", read_cancel},
                {FRAME_PING, "PING", read_token},
                {FRAME_WELCOME, "WELCOME", read_welcome},
                {FRAME_ANSWER, "ANSWER", read_answer},
                {FRAME_CREDIT, "CREDIT", read_credit},
                {FRAME_PRUNED, "PRUNED", read_pruned},
                {FRAME_PONG, "PONG", read_token},
                {FRAME_GOODBYE, "GOODBYE", read_goodbye},
                {FRAME_ERROR, "ERROR", read_error},
                {FRAME_SUBMIT, "SUBMIT", read_submit},
                {FRAME_ACCEPTED, "ACCEPTED", read_accepted},
                {FRAME_REFUSED, "REFUSED", read_refused},
                {FRAME_SETTLEMENT, "SETTLEMENT", read_settlement},
};

static int decode_body(uint8_t type, Reader *in, Frame *ret, Error *error)
{
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                if (kinds[i].type != type)
                        continue;

                Frame f = {.type = kinds[i].type};
                kinds[i].read(in, &f);
                if (in->bad || in->left > 0)
                        return error_set(error, -EBADMSG, "malformed %s frame", kinds[i].name);
                *ret = f;
                return 0;
        }
        return error_set(error, -EBADMSG, "frame of unknown type 0x%02x", type);
}

ssize_t frame_decode(const uint8_t *data, size_t size, size_t body_max, Frame *ret, size_t *ret_need,
                Error *error)
{
        static const uint8_t zeroes[3] = {};
        uint32_t length;
        int r;

        /* The first wrong byte is an error at once, before a whole header is there. */
        if (size > 0 && memcmp(data, magic, MIN(size, sizeof magic)) != 0)
                return error_set(error, -EBADMSG, "no frame: wrong magic or version");
        if (size < FRAME_HEADER_SIZE) {
                if (ret_need)
                        *ret_need = FRAME_HEADER_SIZE;
                return 0;
        }
        if (memcmp(data + 5, zeroes, sizeof zeroes) != 0)
                return error_set(error, -EBADMSG, "frame header has bytes set that must be zero");

        memcpy(&length, data + 8, sizeof length);
        length = be32toh(length);
        if (length > body_max)
                return error_set(error, -EMSGSIZE, "frame body of %u bytes, at most %zu are taken", length,
                                body_max);
        if (size - FRAME_HEADER_SIZE < length) {
                if (ret_need)
                        *ret_need = FRAME_HEADER_SIZE + length;
                return 0;
        }

        Reader in = {data + FRAME_HEADER_SIZE, length, false};
        r = decode_body(data[4], &in, ret, error);
        if (r < 0)
                return r;
        return (ssize_t) (FRAME_HEADER_SIZE + length);
}

SequenceRange settled_frame_range(const SettledFrame *f, size_t i)
{
        uint64_t pair[2];

        assert(i < f->n_ranges);
        memcpy(pair, f->ranges.data + i * sizeof pair, sizeof pair);
        return (SequenceRange){be64toh(pair[0]), be64toh(pair[1])};
}

bool frame_next_attribute(Bytes *attributes, uint8_t *ret_tag, Bytes *ret_value)
{
        Reader in = {attributes->data, attributes->size, false};

        if (attributes->size == 0)
                return false;
        uint8_t tag = take_u8(&in);
        Bytes value = take_bytes(&in, take_u16(&in));
        if (in.bad)
                return false;
        *attributes = (Bytes){in.data, in.left};
        *ret_tag = tag;
        *ret_value = value;
        return true;
}

bool frame_attribute_u32(Bytes value, uint32_t *ret)
{
        Reader in = {value.data, value.size, false};

        *ret = take_u32(&in);
        return !in.bad && in.left == 0;
}

bool frame_find_u32(Bytes attributes, uint8_t tag, uint32_t *ret)
{
        Bytes value;
        uint8_t found;

        while (frame_next_attribute(&attributes, &found, &value))
                if (found == tag && frame_attribute_u32(value, ret))
                        return true;
        return false;
}
