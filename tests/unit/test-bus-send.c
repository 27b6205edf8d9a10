/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Methods that accept messages. */

#include "bus-fixture.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/str-util.h"
#include "base/time-util.h"
#include "wire/frame.h"

static int new_fixture(void **state)
{
        *state = fixture_new(false);
        return 0;
}

static int free_fixture(void **state)
{
        fixture_free(*state);
        return 0;
}

static void done(sd_bus_message *m)
{
        sd_bus_message_unref(m);
}

static void test_send(void **state)
{
        Fixture *f = *state;
        sd_bus_message *m;
        const char *id, *path, *end, *receiver, *error, *reply;
        uint32_t attempts;
        size_t size;

        m = CALL(f, "Send", "ssaya{sv}", "to", RECEIVER, 3, 1, 2, 3, 0);
        assert_true(sd_bus_message_read(m, "so", &id, &path) > 0);
        assert_int_equal(strlen(id), 36);
        assert_non_null(str_after_prefix(path, MESSAGE_PATH "/"));

        sd_bus_message *w = CALL(f, "Wait", "st", id, UINT64_C(0));
        assert_true(sd_bus_message_read(w, "sus", &end, &attempts, &receiver) > 0);
        assert_true(sd_bus_message_read_array(w, 'y', (const void **) &reply, &size) > 0);
        assert_true(sd_bus_message_read(w, "s", &error) > 0);
        assert_string_equal(end, "acked");
        assert_int_equal(attempts, 1);
        assert_string_equal(receiver, "1@here");
        assert_int_equal(size, 4);
        assert_memory_equal(reply, "done", 4);
        assert_string_equal(error, "");
        done(w);
        done(m);
}

static void test_send_modes(void **state)
{
        static const char *const modes[] = {"any", "all", "to"};
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(modes); i++) {
                _cleanup_free_ char *id = send_text(f, modes[i], i == 2 ? RECEIVER_ID : "jobs", "x");
                assert_end(f, id, "acked");
        }
        done(CALL(f, "SendText", "sssa{sv}", "key", "jobs", "x", 1, "key", "s", "k"));
        done(CALL(f, "SendText", "sssa{sv}", "quorum", "jobs", "x", 1, "quorum", "u", 1));
        FAILS(f, "InvalidArgument", "Unknown mode \"some\"", "SendText", "sssa{sv}", "some", "", "x", 0);
        FAILS(f, "NoSuchReceiver", "No receiver \"9\"", "SendText", "sssa{sv}", "to", "9", "x", 0);
        FAILS(f, "AmbiguousReceiver", "2@there", "SendText", "sssa{sv}", "to", AMBIGUOUS, "x", 0);
        FAILS(f, "InvalidArgument", "not the name of a group", "SendText", "sssa{sv}", "any", "a b", "x", 0);
        FAILS(f, "InvalidArgument", "key: from 1", "SendText", "sssa{sv}", "key", "jobs", "x", 0);
}

static void test_send_options(void **state)
{
        Fixture *f = *state;
        uint64_t later = now_usec(CLOCK_REALTIME) + 3600 * USEC_PER_SEC;

        done(CALL(f, "SendText", "sssa{sv}", "any", "jobs", "x", 10, "label", "as", 1, "zone=a",
                        "include_plain", "b", 1, "ack_timeout", "t", 5 * USEC_PER_SEC, "backoff", "t",
                        UINT64_C(0), "backoff_max", "t", USEC_PER_SEC, "max_attempts", "t", UINT64_C(3),
                        "deadline", "t", later + USEC_PER_SEC, "at", "t", later, "priority", "u", 9,
                        "durability", "s", "durable"));
        done(CALL(f, "SendText", "sssa{sv}", "any", "jobs", "x", 2, "delay", "t", 60 * USEC_PER_SEC,
                        "idempotency_key", "s", "mine"));
        done(CALL(f, "SendText", "sssa{sv}", "all", "jobs", "x", 1, "follow_joins", "b", 1));
        done(CALL(f, "SendText", "sssa{sv}", "any", "jobs", "x", 1, "durability", "s", "memory"));
}

/* The integers of languages that have no unsigned ones, or one size only. */
static void test_integers_of_any_type(void **state)
{
        Fixture *f = *state;
        const char *id, *path;

        sd_bus_message *answer = CALL(f, "SendText", "sssa{sv}", "any", "jobs", "x", 4, "priority", "i", 9,
                        "max_attempts", "y", 255, "backoff", "x", INT64_C(3000000), "backoff_max", "u",
                        4000000u);
        assert_true(sd_bus_message_read(answer, "so", &id, &path) > 0);
        assert_property(f, path, MESSAGE_INTERFACE, "Priority", "9");
        done(answer);
        done(CALL(f, "SendText", "sssa{sv}", "quorum", "jobs", "x", 1, "quorum", "n", 1));
        done(CALL(f, "SendText", "sssa{sv}", "quorum", "jobs", "x", 1, "quorum", "q", 1));
        done(CALL(f, "ListMessages", "a{sv}", 1, "limit", "x", INT64_C(5)));
}

static void test_idempotency_key(void **state)
{
        Fixture *f = *state;
        const char *first, *second;
        sd_bus_message *a, *b;

        a = CALL(f, "SendText", "sssa{sv}", "any", "jobs", "x", 1, "idempotency_key", "s", "k");
        b = CALL(f, "SendText", "sssa{sv}", "any", "jobs", "x", 1, "idempotency_key", "s", "k");
        assert_true(sd_bus_message_read(a, "s", &first) > 0);
        assert_true(sd_bus_message_read(b, "s", &second) > 0);
        assert_string_equal(first, second);
        done(a);
        done(b);
}

static void test_wrong_options(void **state)
{
        Fixture *f = *state;
#define REFUSED(text, ...)                                                                                  \
        FAILS(f, "InvalidArgument", text, "SendText", "sssa{sv}", "any", "jobs", "x", 1, __VA_ARGS__)

        REFUSED("Unknown option \"colour\"", "colour", "s", "red");
        REFUSED("Unknown option \"signals\"", "signals", "b", 1);
        REFUSED("Option \"priority\" is of the wrong type, it is a \"u\"", "priority", "s", "high");
        REFUSED("Option \"label\" is of the wrong type, it is a \"as\"", "label", "s", "zone=a");
        REFUSED("Option \"include_plain\" is of the wrong type", "include_plain", "u", 1);
        REFUSED("Option \"backoff\" is of the wrong type", "backoff", "d", 1.0);
        REFUSED("Option \"backoff\" is of the wrong type", "backoff", "at", 1, UINT64_C(1));
        REFUSED("Option \"key\" is of the wrong type", "key", "u", 1);
        REFUSED("priority: from 0 to 9", "priority", "u", 10);
        REFUSED("quorum: from 1", "quorum", "u", 0);
        REFUSED("ack_timeout: from 100ms to 1d", "ack_timeout", "t", UINT64_C(1));
        REFUSED("max_attempts: from 0 to 4294967295", "max_attempts", "t", UINT64_MAX);
        REFUSED("deadline: it has passed", "deadline", "t", UINT64_C(1));
        REFUSED("durability: \"durable\" or \"memory\"", "durability", "s", "stone");
        REFUSED("follow_joins: only with mode \"all\"", "follow_joins", "b", 1);
        REFUSED("quorum: only with mode \"quorum\"", "quorum", "u", 2);
        REFUSED("key: only with mode \"key\"", "key", "s", "k");
        REFUSED("priority: from 0 to 9", "priority", "i", -1);
        REFUSED("priority: from 0 to 9", "priority", "t", UINT64_C(1) << 32);
        REFUSED("max_attempts: from 0 to 4294967295", "max_attempts", "x", INT64_C(-1));
        REFUSED("deadline: a time behind", "deadline", "x", INT64_MIN);
        REFUSED("idempotency_key: from 1", "idempotency_key", "s", "");
        REFUSED("label", "label", "as", 1, "nonsense");
        FAILS(f, "InvalidArgument", "label: not with mode \"to\"", "SendText", "sssa{sv}", "to", RECEIVER,
                        "x", 1, "label", "as", 1, "zone=a");
        FAILS(f, "InvalidArgument", "durability: \"memory\" is for modes", "SendText", "sssa{sv}", "all",
                        "jobs", "x", 1, "durability", "s", "memory");
        assert_property(f, BUS_PATH, MANAGER_INTERFACE, "Waiting", "0");
}

static void test_too_many_labels(void **state)
{
        Fixture *f = *state;
        sd_bus_message *m = NULL;

        /* One more than there may be; appended by hand, since the number is in limits.h. */
        assert_true(sd_bus_message_new_method_call(
                                    f->caller, &m, BUS_NAME, BUS_PATH, MANAGER_INTERFACE, "SendText") >= 0);
        assert_true(sd_bus_message_append(m, "sss", "any", "jobs", "x") >= 0);
        assert_true(sd_bus_message_open_container(m, 'a', "{sv}") >= 0);
        assert_true(sd_bus_message_open_container(m, 'e', "sv") >= 0);
        assert_true(sd_bus_message_append(m, "s", "label") >= 0);
        assert_true(sd_bus_message_open_container(m, 'v', "as") >= 0);
        assert_true(sd_bus_message_open_container(m, 'a', "s") >= 0);
        for (unsigned i = 0; i <= LABELS_MAX; i++)
                assert_true(sd_bus_message_append(m, "s", "zone=a") >= 0);
        for (unsigned i = 0; i < 4; i++)
                assert_true(sd_bus_message_close_container(m) >= 0);
        Answer a;
        start_message(f, &a, m);
        finish_failed(f, &a, "InvalidArgument", "label: at most");
}

static void test_limits(void **state)
{
        Fixture *f = *state;

        f->client.config.max_payload = 3;
        FAILS(f, "PayloadTooLarge", "MaxPayload=", "SendText", "sssa{sv}", "any", "jobs", "long", 0);
        f->client.config.outbox_limit = 0;
        FAILS(f, "OutboxFull", "OutboxLimit=", "SendText", "sssa{sv}", "any", "jobs", "x", 0);
}

/* Reads frames until one of `type` comes, which is returned in `buffer`. */
static void read_frame(Fixture *f, int fd, FrameType type, Buffer *in, Frame *ret)
{
        Error error = {};
        uint8_t bytes[4096];

        for (;;) {
                ssize_t n = frame_decode(
                                buffer_peek(in), buffer_size(in), FRAME_BODY_MAX, ret, NULL, &error);

                assert_true(n >= 0);
                if (n > 0) {
                        buffer_consume(in, (size_t) n);
                        if (ret->type == type)
                                return;
                        continue;
                }
                n = read(fd, bytes, sizeof bytes);
                assert_int_not_equal(n, 0);
                if (n > 0)
                        assert_true(buffer_append(in, bytes, (size_t) n) >= 0);
                else
                        fixture_iterate(f);
        }
}

static void test_open_stream(void **state)
{
        Fixture *f = *state;
        sd_bus_message *m = CALL(f, "OpenStream", "a{sv}", 4, "mode", "s", "any", "target", "s", "jobs",
                        "settlements", "b", 1, "signals", "b", 1);
        Buffer in = {}, out = {};
        Frame frame = {.type = FRAME_SUBMIT, .submit.payload = {(const uint8_t *) "x", 1}};
        int fd;

        assert_true(sd_bus_message_read(m, "h", &fd) > 0);
        assert_true(frame_encode(&out, &frame) >= 0);
        assert_int_equal(write(fd, buffer_peek(&out), buffer_size(&out)), buffer_size(&out));
        read_frame(f, fd, FRAME_ACCEPTED, &in, &frame);
        assert_int_equal(frame.accepted.first, 1);
        read_frame(f, fd, FRAME_SETTLEMENT, &in, &frame);
        assert_int_equal(frame.settlement.end, SETTLEMENT_ACKED);
        buffer_clear(&in);
        buffer_clear(&out);
        done(m);

        FAILS(f, "InvalidArgument", "idempotency_key: each message of a stream", "OpenStream", "a{sv}", 1,
                        "idempotency_key", "s", "k");
        FAILS(f, "InvalidArgument", "Unknown mode", "OpenStream", "a{sv}", 1, "mode", "s", "some");
        FAILS(f, "InvalidArgument", "Unknown option", "OpenStream", "a{sv}", 1, "colour", "s", "red");
        FAILS(f, "InvalidArgument", "group", "OpenStream", "a{sv}", 1, "target", "s", "a b");
}

static void test_too_many_streams(void **state)
{
        enum { N = 257 };
        Fixture *f = *state;
        Answer *streams = calloc(N, sizeof *streams);

        for (unsigned i = 0; i < N; i++)
                start_call(f, streams + i, "OpenStream", "a{sv}", 0);
        finish_failed(f, streams + N - 1, "LimitExceeded", "256 programs are submitting");
        for (unsigned i = 0; i < N - 1; i++)
                done(finish(f, streams + i));
        free(streams);
}

static void test_refused_while_stopping(void **state)
{
        Fixture *f = *state;

        f->client.stopping = true;
        FAILS(f, "Disconnected", "the client is stopping", "SendText", "sssa{sv}", "any", "jobs", "x", 0);
        FAILS(f, "InvalidArgument", "", "GetMessage", "s", "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, new_fixture, free_fixture)

int main(void)
{
        const struct CMUnitTest tests[] = {
                        TEST(test_send),
                        TEST(test_send_modes),
                        TEST(test_send_options),
                        TEST(test_integers_of_any_type),
                        TEST(test_idempotency_key),
                        TEST(test_wrong_options),
                        TEST(test_too_many_labels),
                        TEST(test_limits),
                        TEST(test_open_stream),
                        TEST(test_too_many_streams),
                        TEST(test_refused_while_stopping),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
