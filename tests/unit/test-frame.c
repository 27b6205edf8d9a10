/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "wire/frame.h"

static const sd_id128_t stream = {.bytes = {1, 2, 3}}, message = {.bytes = {9, 8, 7}};

static Bytes text(const char *s)
{
        return (Bytes){(const uint8_t *) s, strlen(s)};
}

static void assert_bytes(Bytes b, const char *expected)
{
        assert_int_equal(b.size, strlen(expected));
        assert_memory_equal(b.data, expected, b.size);
}

/* Encodes, then feeds the decoder one byte more at a time: only the whole frame may come out. */
static Frame round_trip(const Frame *f, Buffer *b)
{
        Frame out = {};
        size_t need = 0;

        assert_int_equal(frame_encode(b, f), 0);
        for (size_t n = 0; n < buffer_size(b); n++) {
                assert_int_equal(frame_decode(buffer_peek(b), n, FRAME_BODY_MAX, &out, &need, NULL), 0);
                assert_true(need > n && need <= buffer_size(b));
        }
        assert_int_equal(frame_decode(buffer_peek(b), buffer_size(b), FRAME_BODY_MAX, &out, NULL, NULL),
                        buffer_size(b));
        assert_int_equal(out.type, f->type);
        return out;
}

static void test_message(void **state)
{
        Buffer b = {};
        Frame f = {.type = FRAME_MESSAGE,
                        .message = {.stream = stream,
                                        .sequence = UINT64_C(0x0102030405060708),
                                        .message = message,
                                        .attempt = 3,
                                        .flags = MESSAGE_POSSIBLE_DUPLICATE,
                                        .attributes = text("attr"),
                                        .payload = text("hello")}};
        Frame out = round_trip(&f, &b);

        assert_true(sd_id128_equal(out.message.stream, stream));
        assert_true(sd_id128_equal(out.message.message, message));
        assert_true(out.message.sequence == UINT64_C(0x0102030405060708));
        assert_int_equal(out.message.attempt, 3);
        assert_int_equal(out.message.flags, MESSAGE_POSSIBLE_DUPLICATE);
        assert_bytes(out.message.attributes, "attr");
        assert_bytes(out.message.payload, "hello");
        buffer_clear(&b);
}

static void test_answer(void **state)
{
        Buffer b = {};
        Frame f = {.type = FRAME_ANSWER,
                        .answer = {.stream = stream,
                                        .sequence = 7,
                                        .message = message,
                                        .attempt = 2,
                                        .outcome = OUTCOME_FAILED,
                                        .delay_ms = 1500,
                                        .data = text("exit status 3")}};
        Frame out = round_trip(&f, &b);

        assert_int_equal(out.answer.outcome, OUTCOME_FAILED);
        assert_int_equal(out.answer.delay_ms, 1500);
        assert_bytes(out.answer.data, "exit status 3");
        assert_int_equal(out.answer.flags, 0);
        buffer_clear(&b);
}

/* The bit of a cut reply stands where the delay of a failure stands. Other bits mean nothing yet. */
static void test_cut_reply(void **state)
{
        Buffer b = {}, c = {};
        Frame f = {.type = FRAME_ANSWER,
                        .answer = {.stream = stream,
                                        .sequence = 7,
                                        .message = message,
                                        .attempt = 2,
                                        .outcome = OUTCOME_ACKED,
                                        .flags = ANSWER_CUT,
                                        .data = text("begin")}};
        Frame out = round_trip(&f, &b);

        assert_int_equal(out.answer.flags, ANSWER_CUT);
        assert_int_equal(out.answer.delay_ms, 0);
        assert_bytes(out.answer.data, "begin");
        uint8_t *delay = b.data + b.start + FRAME_HEADER_SIZE + 44;
        assert_memory_equal(delay, "\0\0\0\1", 4);
        memcpy(delay, "\xff\0\0\2", 4);
        assert_true(frame_decode(buffer_peek(&b), buffer_size(&b), FRAME_BODY_MAX, &out, NULL, NULL) > 0);
        assert_true(out.answer.flags == 0xff000002);
        assert_int_equal(out.answer.delay_ms, 0);
        f = (Frame){.type = FRAME_SETTLEMENT,
                        .settlement = {.number = 9,
                                        .attempts = 1,
                                        .end = SETTLEMENT_ACKED,
                                        .cut = true,
                                        .data = text("begin")}};
        out = round_trip(&f, &c);
        assert_int_equal(out.settlement.end, SETTLEMENT_ACKED);
        assert_true(out.settlement.cut);
        assert_int_equal(c.data[c.start + FRAME_HEADER_SIZE + 12], SETTLEMENT_ACKED_CUT);
        buffer_clear(&b);
        buffer_clear(&c);
}

static void test_small_frames(void **state)
{
        const Frame frames[] = {
                        {.type = FRAME_HELLO,
                                        .hello = {.receiver = stream,
                                                        .sender = message,
                                                        .name = text("host")}},
                        {.type = FRAME_WELCOME,
                                        .welcome = {.credit = 5, .window = 6, .name = text("1@host")}},
                        {.type = FRAME_CANCEL, .cancel = {.stream = stream, .sequence = 1}},
                        {.type = FRAME_PING, .token = 42},
                        {.type = FRAME_PONG, .token = 43},
                        {.type = FRAME_CREDIT, .credit = 44},
                        {.type = FRAME_PRUNED, .stream = stream},
                        {.type = FRAME_GOODBYE, .reason = GOODBYE_RESTARTING},
                        {.type = FRAME_ERROR, .text = text("not me")},
        };

        for (size_t i = 0; i < ELEMENTSOF(frames); i++) {
                Buffer b = {};
                Frame out = round_trip(frames + i, &b);

                if (out.type == FRAME_ERROR)
                        assert_bytes(out.text, "not me");
                if (out.type == FRAME_WELCOME)
                        assert_int_equal(out.welcome.credit, 5);
                buffer_clear(&b);
        }
}

static void test_bulk(void **state)
{
        const uint8_t ids[32] = {1, 2, 3};
        const Frame frames[] = {
                        {.type = FRAME_SUBMIT,
                                        .submit = {.attributes = text("attr"), .payload = text("hello")}},
                        {.type = FRAME_ACCEPTED, .accepted = {.first = 7, .ids = {ids, sizeof ids}}},
                        {.type = FRAME_REFUSED,
                                        .refused = {.number = 8,
                                                        .reason = text("OutboxFull"),
                                                        .text = text("full")}},
                        {.type = FRAME_SETTLEMENT,
                                        .settlement = {.number = 9,
                                                        .attempts = 2,
                                                        .end = SETTLEMENT_DEAD,
                                                        .data = text("why")}},
        };
        Buffer buffers[ELEMENTSOF(frames)] = {};
        Frame out[ELEMENTSOF(frames)];

        for (size_t i = 0; i < ELEMENTSOF(frames); i++)
                out[i] = round_trip(frames + i, buffers + i);
        assert_bytes(out[0].submit.attributes, "attr");
        assert_bytes(out[0].submit.payload, "hello");
        assert_int_equal(out[1].accepted.first, 7);
        assert_int_equal(out[1].accepted.ids.size, sizeof ids);
        assert_memory_equal(out[1].accepted.ids.data, ids, sizeof ids);
        assert_int_equal(out[2].refused.number, 8);
        assert_bytes(out[2].refused.reason, "OutboxFull");
        assert_bytes(out[2].refused.text, "full");
        assert_int_equal(out[3].settlement.number, 9);
        assert_int_equal(out[3].settlement.attempts, 2);
        assert_int_equal(out[3].settlement.end, SETTLEMENT_DEAD);
        assert_bytes(out[3].settlement.data, "why");

        /* An end that is none. */
        Buffer *b = buffers + 3;
        b->data[b->start + FRAME_HEADER_SIZE + 12] = SETTLEMENT_ACKED_CUT + 1;
        assert_int_equal(frame_decode(buffer_peek(b), buffer_size(b), FRAME_BODY_MAX, out, NULL, NULL),
                        -EBADMSG);
        for (size_t i = 0; i < ELEMENTSOF(frames); i++)
                buffer_clear(buffers + i);
}

static void test_attributes(void **state)
{
        static const uint8_t good[] = {1, 0, 3, 'k', 'e', 'y', 9, 0, 0}, cut[] = {1, 0, 3, 'k', 'e'};
        Bytes attributes = {good, sizeof good}, value;
        uint8_t tag;

        assert_true(frame_next_attribute(&attributes, &tag, &value));
        assert_int_equal(tag, ATTRIBUTE_KEY);
        assert_bytes(value, "key");
        assert_true(frame_next_attribute(&attributes, &tag, &value));
        assert_int_equal(tag, 9);
        assert_int_equal(value.size, 0);
        assert_false(frame_next_attribute(&attributes, &tag, &value));
        assert_int_equal(attributes.size, 0);

        attributes = (Bytes){cut, sizeof cut};
        assert_false(frame_next_attribute(&attributes, &tag, &value));
        assert_true(attributes.size > 0);
}

static void test_settled(void **state)
{
        Buffer b = {};
        SequenceSet set;
        Frame out;

        sequence_set_init(&set);
        assert_int_equal(sequence_set_add_below(&set, 10), 0);
        assert_int_equal(sequence_set_add(&set, 12, 14), 0);
        assert_int_equal(sequence_set_add(&set, 20, 20), 0);
        assert_int_equal(frame_encode_settled(&b, stream, SETTLED_CLOSED, &set), 0);
        assert_true(frame_decode(buffer_peek(&b), buffer_size(&b), FRAME_BODY_MAX, &out, NULL, NULL) > 0);
        assert_int_equal(out.settled.flags, SETTLED_CLOSED);
        assert_int_equal(out.settled.low, 10);
        assert_int_equal(out.settled.n_ranges, 2);
        assert_int_equal(settled_frame_range(&out.settled, 1).first, 20);

        /* The first range moved below the low mark: a set never looks so. */
        b.data[b.start + FRAME_HEADER_SIZE + 30 + 7] = 3;
        assert_int_equal(frame_decode(buffer_peek(&b), buffer_size(&b), FRAME_BODY_MAX, &out, NULL, NULL),
                        -EBADMSG);
        sequence_set_clear(&set);
        buffer_clear(&b);
}

static ssize_t decode_changed(size_t offset, uint8_t value, Error *error)
{
        Buffer b = {};
        Frame f = {.type = FRAME_PING, .token = 1}, out;

        assert_int_equal(frame_encode(&b, &f), 0);
        b.data[b.start + offset] = value;
        ssize_t n = frame_decode(buffer_peek(&b), buffer_size(&b), 1000, &out, NULL, error);
        buffer_clear(&b);
        return n;
}

static void test_garbage(void **state)
{
        Error error = {};
        Frame out;

        assert_int_equal(frame_decode((const uint8_t *) "hello", 5, 1000, &out, NULL, &error), -EBADMSG);
        assert_int_equal(decode_changed(3, 2, &error), -EBADMSG); /* version */
        assert_int_equal(decode_changed(6, 1, &error), -EBADMSG); /* must be zero */
        assert_int_equal(decode_changed(4, 0x7F, &error), -EBADMSG);
        assert_non_null(strstr(error.text, "0x7f"));
        assert_int_equal(decode_changed(4, FRAME_GOODBYE, &error), -EBADMSG); /* 7 bytes too many */
        assert_non_null(strstr(error.text, "GOODBYE"));
        assert_int_equal(decode_changed(8, 0xFF, &error), -EMSGSIZE);
        assert_int_equal(decode_changed(11, 9, &error), 0); /* one byte more is still to come */
}

/* Sequences run from 1. */
static void test_no_sequence(void **state)
{
        const Frame frames[] = {
                        {.type = FRAME_MESSAGE,
                                        .message = {.stream = stream, .message = message, .attempt = 1}},
                        {.type = FRAME_CANCEL, .cancel = {.stream = stream, .message = message}},
                        {.type = FRAME_ANSWER,
                                        .answer = {.stream = stream,
                                                        .message = message,
                                                        .outcome = OUTCOME_ACKED}},
        };

        for (size_t i = 0; i < ELEMENTSOF(frames); i++) {
                Buffer b = {};
                Frame out;

                assert_int_equal(frame_encode(&b, frames + i), 0);
                assert_int_equal(frame_decode(buffer_peek(&b), buffer_size(&b), 1000, &out, NULL, NULL),
                                -EBADMSG);
                buffer_clear(&b);
        }
}

static void test_encode_limits(void **state)
{
        Buffer b = {};
        static uint8_t big[REPLY_MAX + 1];
        Frame f = {.type = FRAME_ANSWER, .answer = {.outcome = OUTCOME_ACKED, .data = {big, sizeof big}}};

        assert_int_equal(frame_encode(&b, &f), -EMSGSIZE);
        assert_int_equal(buffer_size(&b), 0);
        buffer_clear(&b);
}

/* Each part that is over its limit. */
static void test_encode_limits_of_all(void **state)
{
        static uint8_t big[PAYLOAD_MAX + 1];
        const Frame frames[] = {
                        {.type = FRAME_HELLO, .hello.name = {big, 256}},
                        {.type = FRAME_WELCOME, .welcome.name = {big, 256}},
                        {.type = FRAME_MESSAGE, .message.payload = {big, PAYLOAD_MAX + 1}},
                        {.type = FRAME_MESSAGE, .message.attributes = {big, ATTRIBUTES_MAX + 1}},
                        {.type = FRAME_SUBMIT, .submit.payload = {big, PAYLOAD_MAX + 1}},
                        {.type = FRAME_SUBMIT, .submit.attributes = {big, ATTRIBUTES_MAX + 1}},
                        {.type = FRAME_REFUSED, .refused.reason = {big, 256}},
                        {.type = FRAME_REFUSED, .refused.text = {big, ERROR_TEXT_MAX + 1}},
                        {.type = FRAME_SETTLEMENT, .settlement.data = {big, REPLY_MAX + 1}},
        };
        Buffer b = {};

        for (size_t i = 0; i < ELEMENTSOF(frames); i++)
                assert_int_equal(frame_encode(&b, frames + i), -EMSGSIZE);
        assert_int_equal(frame_encode(&b, &(Frame){.type = FRAME_SETTLED}), -EINVAL);
        assert_int_equal(buffer_size(&b), 0);

        /* An error is cut instead. */
        assert_int_equal(frame_encode(&b, &(Frame){.type = FRAME_ERROR, .text = {big, 1000}}), 0);
        assert_int_equal(buffer_size(&b), FRAME_HEADER_SIZE + ERROR_TEXT_MAX);
        buffer_clear(&b);
}

/* A body that no encoder of ours makes. */
static void assert_bad_body(FrameType type, const void *body, size_t n)
{
        uint8_t bytes[FRAME_HEADER_SIZE + 70000] = FRAME_MAGIC;
        const uint32_t size = htobe32((uint32_t) n);
        Frame out;

        assert_in_range(n, 0, 70000);
        bytes[4] = (uint8_t) type;
        memcpy(bytes + 8, &size, sizeof size);
        memcpy(bytes + FRAME_HEADER_SIZE, body, n);
        assert_int_equal(frame_decode(bytes, FRAME_HEADER_SIZE + n, FRAME_BODY_MAX, &out, NULL, NULL),
                        -EBADMSG);
}

static void test_bad_bodies(void **state)
{
        static uint8_t body[70000] = {[7] = 1}; /* number 1 */

        assert_bad_body(FRAME_ACCEPTED, body, 8 + 15);
        assert_bad_body(FRAME_REFUSED, body, 9 + ERROR_TEXT_MAX + 1);
        assert_bad_body(FRAME_ERROR, body, ERROR_TEXT_MAX + 1);
        assert_bad_body(FRAME_SETTLEMENT, body, 13); /* end 0 */
        body[12] = SETTLEMENT_ACKED_CUT + 1;
        assert_bad_body(FRAME_SETTLEMENT, body, 13);
        body[12] = SETTLEMENT_ACKED;
        assert_bad_body(FRAME_SETTLEMENT, body, 13 + REPLY_MAX + 1);
        assert_bad_body(FRAME_GOODBYE, "\0", 1);
        assert_bad_body(FRAME_GOODBYE, "\3", 1);
        memset(body, 0xff, 2); /* attributes longer than the body, and than the limit */
        assert_bad_body(FRAME_SUBMIT, body, 10);
        assert_bad_body(FRAME_SUBMIT, body, sizeof body);
}

static void test_number_attribute(void **state)
{
        uint8_t buffer[ATTRIBUTE_U32_SIZE];
        Bytes all = frame_attribute_put_u32(buffer, ATTRIBUTE_ACK_TIMEOUT, 70000), value;
        uint32_t number;
        uint8_t tag;

        assert_true(frame_next_attribute(&all, &tag, &value));
        assert_int_equal(tag, ATTRIBUTE_ACK_TIMEOUT);
        assert_true(frame_attribute_u32(value, &number));
        assert_int_equal(number, 70000);
        assert_false(frame_next_attribute(&all, &tag, &value));
        value.size = 3;
        assert_false(frame_attribute_u32(value, &number));
        value.size = 5;
        assert_false(frame_attribute_u32(value, &number));

        uint8_t both[2 * ATTRIBUTE_U32_SIZE];
        (void) frame_attribute_put_u32(both, ATTRIBUTE_ACK_TIMEOUT, 70000);
        (void) frame_attribute_put_u32(both + ATTRIBUTE_U32_SIZE, ATTRIBUTE_PRIORITY, 9);
        assert_true(frame_find_u32((Bytes){both, sizeof both}, ATTRIBUTE_PRIORITY, &number));
        assert_int_equal(number, 9);
        assert_false(frame_find_u32((Bytes){both, sizeof both - 1}, ATTRIBUTE_PRIORITY, &number)); /* cut */
        assert_false(frame_find_u32((Bytes){both, ATTRIBUTE_U32_SIZE}, ATTRIBUTE_PRIORITY, &number));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_message),
                        cmocka_unit_test(test_answer),
                        cmocka_unit_test(test_cut_reply),
                        cmocka_unit_test(test_small_frames),
                        cmocka_unit_test(test_bulk),
                        cmocka_unit_test(test_attributes),
                        cmocka_unit_test(test_settled),
                        cmocka_unit_test(test_garbage),
                        cmocka_unit_test(test_no_sequence),
                        cmocka_unit_test(test_encode_limits),
                        cmocka_unit_test(test_encode_limits_of_all),
                        cmocka_unit_test(test_bad_bodies),
                        cmocka_unit_test(test_number_attribute),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
