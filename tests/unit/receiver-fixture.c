/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver-fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"

const sd_id128_t stream_a = {.bytes = {0xa}}, stream_b = {.bytes = {0xb}};

/* The warden: a pipe that the test can make readable. */

static int warden_pipe[2];

int warden_start(int lock_fd, Warden *ret)
{
        assert_int_equal(pipe2(warden_pipe, O_CLOEXEC), 0);
        *ret = (Warden){.pid = 1, .pidfd = warden_pipe[0], .fd = -1};
        return 0;
}

void warden_stop(Warden *w)
{
        if (w->pid == 0)
                return;
        (void) close(warden_pipe[0]);
        (void) close(warden_pipe[1]);
        w->pid = 0;
}

unsigned warden_count(void)
{
        return world_n_children();
}

void warden_die(void)
{
        assert_int_equal(write(warden_pipe[1], "", 1), 1);
}

/* The receiver. */

int fixture_setup(void **state)
{
        Fixture *f = calloc(1, sizeof *f);

        assert_non_null(f);
        world_begin();
        world_local_ip("");
        log_set_level(LOG_DEBUG);
        f->config = (ReceiverConfig){
                        .instance = strdup("1"),
                        .name = strdup("one"),
                        .discovery = strdup("unix:/d.sock"),
                        .state_directory = strdup(world_directory()),
                        .concurrency = 1,
                        .queue = 64,
                        .handler_timeout_usec = 3600 * USEC_PER_SEC,
                        .stop_timeout_usec = 25 * USEC_PER_SEC,
                        .max_payload = PAYLOAD_DEFAULT_MAX,
                        .max_reply = REPLY_MAX,
        };
        assert_int_equal(strv_append(&f->config.listen, RECEIVER_ADDRESS), 0);
        *state = f;
        return 0;
}

int fixture_teardown(void **state)
{
        Fixture *f = *state;

        fixture_end(f);
        free(f->config.instance);
        free(f->config.name);
        free(f->config.group);
        free(f->config.discovery);
        free(f->config.state_directory);
        strv_free(f->config.labels);
        strv_free(f->config.listen);
        strv_free(f->config.advertise);
        strv_free(f->config.command);
        free(f);
        world_end();
        return 0;
}

void fixture_set_command(Fixture *f, const char *command)
{
        f->config.command = strv_free(f->config.command);
        if (command)
                assert_int_equal(strv_append(&f->config.command, command), 0);
}

int fixture_new(Fixture *f)
{
        int r = receiver_new(&f->config, &f->receiver, &f->error);

        if (r < 0)
                print_message("receiver_new: %s\n", f->error.text);

        if (r >= 0)
                world_settle();
        return r;
}

void fixture_register(const char *id, double lease)
{
        char text[200];

        (void) snprintf(text, sizeof text, "{\"id\":\"%s\",\"token\":\"t1\",\"lease_seconds\":%g}", id,
                        lease);
        world_answer(asked("POST", "/v1/receivers"), 201, text);
        world_settle();
}

void fixture_start(Fixture *f)
{
        assert_int_equal(fixture_new(f), 0);
        fixture_register(RECEIVER_TEXT_ID, 30);
        assert_int_equal(world_n_ready(), 1);
}

void fixture_end(Fixture *f)
{
        f->receiver = receiver_free(f->receiver);
}

TestRequest *asked(const char *method, const char *path)
{
        TestRequest *q = world_request("");

        assert_non_null(q);
        assert_string_equal(q->method, method);
        assert_string_equal(q->path, path);
        return q;
}

void refuse(TestRequest *q, int status, const char *code, int heard_ms)
{
        char text[200], heard[40] = "";

        if (heard_ms >= 0)
                (void) snprintf(heard, sizeof heard, ",\"heard_ms_ago\":%d", heard_ms);
        (void) snprintf(text, sizeof text, "{\"error\":{\"code\":\"%s\",\"message\":\"no\"%s}}", code,
                        heard);
        world_answer(q, status, text);
        world_settle();
}

/* Senders. */

sd_id128_t message_id(uint64_t sequence)
{
        return (sd_id128_t){.qwords = {7, sequence}};
}

static void send_buffer(TestSocket *s, Buffer *b)
{
        world_send(s, buffer_peek(b), buffer_size(b));
        buffer_clear(b);
        world_settle();
}

void send_frame(TestSocket *s, const Frame *f)
{
        Buffer b = {};

        assert_int_equal(frame_encode(&b, f), 0);
        send_buffer(s, &b);
}

void send_settled(TestSocket *s, sd_id128_t stream, uint64_t low, uint32_t flags)
{
        SequenceSet set;
        Buffer b = {};

        sequence_set_init(&set);
        assert_int_equal(sequence_set_add_below(&set, low), 0);
        assert_int_equal(frame_encode_settled(&b, stream, flags, &set), 0);
        sequence_set_clear(&set);
        send_buffer(s, &b);
}

MessageFrame message(uint64_t sequence, const char *payload)
{
        return (MessageFrame){
                        .stream = stream_a,
                        .sequence = sequence,
                        .message = message_id(sequence),
                        .attempt = 1,
                        .payload = {(const uint8_t *) payload, strlen(payload)},
        };
}

void send_message(TestSocket *s, MessageFrame m)
{
        send_frame(s, &(Frame){.type = FRAME_MESSAGE, .message = m});
}

void send_cancel(TestSocket *s, uint64_t sequence)
{
        send_frame(s, &(Frame){.type = FRAME_CANCEL,
                                      .cancel = {.stream = stream_a,
                                                      .sequence = sequence,
                                                      .message = message_id(sequence)}});
}

TestSocket *sender_open(void)
{
        TestSocket *s = world_connect(RECEIVER_ADDRESS);
        Frame hello = {.type = FRAME_HELLO,
                        .hello = {.sender = {.bytes = {5}}, .name = {(const uint8_t *) "host", 4}}};

        assert_non_null(s);
        assert_true(sd_id128_from_string(RECEIVER_TEXT_ID, &hello.hello.receiver) >= 0);
        send_frame(s, &hello);
        assert_int_equal(next_frame(s).type, FRAME_WELCOME);
        return s;
}

Frame any_frame(TestSocket *s)
{
        static uint8_t copy[1 << 17];
        Buffer *in = world_received(s);
        size_t size = MIN(buffer_size(in), sizeof copy);
        Error error = {};
        Frame f = {};

        if (size > 0)
                memcpy(copy, buffer_peek(in), size);
        ssize_t n = frame_decode(copy, size, FRAME_BODY_MAX, &f, NULL, &error);
        assert_true(n > 0);
        buffer_consume(in, (size_t) n);
        return f;
}

Frame next_frame(TestSocket *s)
{
        Frame f;

        do
                f = any_frame(s);
        while (f.type == FRAME_CREDIT);
        return f;
}

void expect_nothing(TestSocket *s)
{
        while (buffer_size(world_received(s)) > 0)
                assert_int_equal(any_frame(s).type, FRAME_CREDIT);
}

bool bytes_equal(Bytes b, const char *text)
{
        return b.size == strlen(text) && (b.size == 0 || memcmp(b.data, text, b.size) == 0);
}

void expect_answer(TestSocket *s, uint64_t sequence, Outcome outcome, const char *data)
{
        Frame f = next_frame(s);

        assert_int_equal(f.type, FRAME_ANSWER);
        assert_string_equal(outcome_to_string(f.answer.outcome), outcome_to_string(outcome));
        assert_int_equal(f.answer.sequence, sequence);
        assert_true(sd_id128_equal(f.answer.message, message_id(sequence)));
        if (data)
                assert_true(bytes_equal(f.answer.data, data));
}

void expect_error(TestSocket *s, const char *part)
{
        char text[600] = "";
        Frame f = next_frame(s);

        assert_int_equal(f.type, FRAME_ERROR);
        assert_true(f.text.size < sizeof text);
        memcpy(text, f.text.data, f.text.size);
        assert_non_null(strstr(text, part));
        assert_true(world_is_shut(s));
}

void fixture_restart(Fixture *f)
{
        fixture_end(f);
        assert_int_equal(fixture_new(f), 0);
        fixture_register(RECEIVER_TEXT_ID, 30);
}

void fixture_child_ends(int status, const char *output)
{
        world_child_end(world_child(0), status, output);
        world_settle();
}
