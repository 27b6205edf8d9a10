/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/frame.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

static const uint8_t magic[4] = {FRAME_MAGIC_FIRST, 'A', 'G', 1};

/* Reads a body front to back. Running over the end sets `bad` and yields zeroes, so that a decoder is a
 * plain list of fields with one check behind it. */
typedef struct Reader {
        const uint8_t *data;
        size_t left;
        bool bad;
} Reader;

static Bytes take(Reader *in, size_t n)
{
        if (n > in->left) {
                in->bad = true;
                n = 0;
        }
        Bytes b = {in->data, n};
        in->data += n;
        in->left -= n;
        return b;
}

static void take_into(Reader *in, void *out, size_t n)
{
        Bytes b = take(in, n);

        if (b.size == n)
                memcpy(out, b.data, n);
        else
                memset(out, 0, n);
}

static sd_id128_t take_id(Reader *in)
{
        sd_id128_t id;

        take_into(in, id.bytes, sizeof id.bytes);
        return id;
}

static uint8_t take_u8(Reader *in)
{
        uint8_t v;

        take_into(in, &v, sizeof v);
        return v;
}

static uint16_t take_u16(Reader *in)
{
        uint16_t v;

        take_into(in, &v, sizeof v);
        return be16toh(v);
}

static uint32_t take_u32(Reader *in)
{
        uint32_t v;

        take_into(in, &v, sizeof v);
        return be32toh(v);
}

static uint64_t take_u64(Reader *in)
{
        uint64_t v;

        take_into(in, &v, sizeof v);
        return be64toh(v);
}

static Bytes take_rest(Reader *in)
{
        return take(in, in->left);
}

static void read_hello(Reader *in, Frame *f)
{
        f->hello.receiver = take_id(in);
        f->hello.sender = take_id(in);
        f->hello.name = take(in, take_u8(in));
}

static void read_welcome(Reader *in, Frame *f)
{
        f->welcome.receiver = take_id(in);
        f->welcome.instance = take_id(in);
        f->welcome.credit = take_u32(in);
        f->welcome.window = take_u32(in);
        f->welcome.max_payload = take_u32(in);
        f->welcome.name = take(in, take_u8(in));
}

static void read_message(Reader *in, Frame *f)
{
        f->message.stream = take_id(in);
        f->message.sequence = take_u64(in);
        f->message.message = take_id(in);
        f->message.attempt = take_u32(in);
        f->message.flags = take_u32(in);
        f->message.attributes = take(in, take_u16(in));
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
        f->settled.ranges = take(in, f->settled.n_ranges * 16);
        if (in->bad)
                return;

        /* Ascending and apart, as a set encodes itself: then applying them is cheap, and bounded by their
         * number. */
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
        if (f->answer.outcome < OUTCOME_ACKED || f->answer.outcome >= _OUTCOME_MAX ||
                        f->answer.data.size > REPLY_MAX)
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
                {FRAME_HELLO,   "HELLO",   read_hello  },
                {FRAME_MESSAGE, "MESSAGE", read_message},
                {FRAME_SETTLED, "SETTLED", read_settled},
                {FRAME_CANCEL,  "CANCEL",  read_cancel },
                {FRAME_PING,    "PING",    read_token  },
                {FRAME_WELCOME, "WELCOME", read_welcome},
                {FRAME_ANSWER,  "ANSWER",  read_answer },
                {FRAME_CREDIT,  "CREDIT",  read_credit },
                {FRAME_PRUNED,  "PRUNED",  read_pruned },
                {FRAME_PONG,    "PONG",    read_token  },
                {FRAME_GOODBYE, "GOODBYE", read_goodbye},
                {FRAME_ERROR,   "ERROR",   read_error  },
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

        /* What cannot become a frame is refused at its first wrong byte, not when a header's worth has come.
         */
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

/* The writers trust that there is room: frame_begin() reserves it for the whole frame. */
static void put(Buffer *out, const void *data, size_t n)
{
        if (n == 0)
                return;
        memcpy(out->data + out->end, data, n);
        buffer_added(out, n);
}

static void put_id(Buffer *out, sd_id128_t id)
{
        put(out, id.bytes, sizeof id.bytes);
}

static void put_u8(Buffer *out, uint8_t v)
{
        put(out, &v, sizeof v);
}

static void put_u16(Buffer *out, uint16_t v)
{
        v = htobe16(v);
        put(out, &v, sizeof v);
}

static void put_u32(Buffer *out, uint32_t v)
{
        v = htobe32(v);
        put(out, &v, sizeof v);
}

static void put_u64(Buffer *out, uint64_t v)
{
        v = htobe64(v);
        put(out, &v, sizeof v);
}

static void put_short(Buffer *out, Bytes b)
{
        put_u8(out, (uint8_t) b.size);
        put(out, b.data, b.size);
}

static int frame_begin(Buffer *out, FrameType type, size_t length)
{
        if (!buffer_reserve(out, FRAME_HEADER_SIZE + length))
                return -ENOMEM;
        put(out, magic, sizeof magic);
        put_u8(out, (uint8_t) type);
        put(out, (uint8_t[3]){}, 3);
        put_u32(out, (uint32_t) length);
        return 0;
}

/* Body length of a frame, or -EMSGSIZE when a part is over its limit, or -EINVAL. */
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
        case FRAME_SETTLED:
        default:
                return -EINVAL;
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
                put(out, f->message.attributes.data, f->message.attributes.size);
                put(out, f->message.payload.data, f->message.payload.size);
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
                put_u32(out, f->answer.delay_ms);
                put_u8(out, (uint8_t) f->answer.outcome);
                put(out, f->answer.data.data, f->answer.data.size);
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
                put(out, f->text.data, length);
                break;
        case FRAME_SETTLED:
                break;
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
