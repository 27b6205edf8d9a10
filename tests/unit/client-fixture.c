/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "client-fixture.h"
#include "wire/receiver-json.h"

Client *c;
ClientConfig config;
Submitted last;
Error submit_error;

static char told[4096];
static unsigned receiver_changes;
static size_t unread[256]; /* bytes of a frame that next_frame() has returned, by receiver */

static void on_message(Message *m, void *userdata)
{
}

static void on_event(Message *m, MessageEvent event, uint32_t attempt, const char *detail, void *userdata)
{
        size_t n = strlen(told);

        (void) snprintf(told + n, sizeof told - n, "%s%s", n > 0 ? " " : "", message_event_to_string(event));
}

static void on_receiver(const ReceiverInfo *info, bool listed, void *userdata)
{
        receiver_changes++;
}

static void on_changed(void *userdata)
{
}

static bool run_worker(void *userdata)
{
        return c && c->db && fake_worker_run() && fake_watch_ready(db_fd(c->db), EPOLLIN);
}

void run(void)
{
        fake_loop_run(0);
}

bool receivers_are_frozen;

/* Answers PING as a receiver does, if one is among the frames that the test has not read. */
static void answer_ping(Connection *s)
{
        Buffer *b = fake_connection_received(s), pong = {};
        Error error = {};
        bool asked = false;
        size_t at = 0;
        Frame f;
        ssize_t n;

        while (at < buffer_size(b) && (n = frame_decode(buffer_peek(b) + at, buffer_size(b) - at,
                                                       FRAME_BODY_MAX, &f, NULL, &error)) > 0) {
                asked = asked || f.type == FRAME_PING;
                at += (size_t) n;
        }
        if (!asked)
                return;
        assert_int_equal(frame_encode(&pong, &(Frame){.type = FRAME_PONG}), 0);
        fake_connection_send(s, buffer_peek(&pong), buffer_size(&pong));
        buffer_clear(&pong);
        fake_loop_run(0);
}

void pass(uint64_t usec)
{
        const uint64_t step = MAX(config.policy.ack_timeout_usec / 4, 1u);
        Connection *s;

        while (usec > 0) {
                const uint64_t now = MIN(usec, step);

                fake_loop_run(now);
                usec -= now;
                for (unsigned n = 0; !receivers_are_frozen && (s = fake_connection(n)); n++)
                        answer_ping(s);
        }
}

void client_begin(void)
{
        static const ClientObserver observer = {
                        .message_added = on_message,
                        .message_removed = on_message,
                        .message_changed = on_message,
                        .message_event = on_event,
                        .message_saved = on_message,
                        .receiver_listed = on_receiver,
                        .changed = on_changed,
        };
        Error error = {};

        c = calloc(1, sizeof *c);
        assert_non_null(c);
        c->config = config;
        c->config.discovery = strdup("http://discovery:7480");
        c->config.state_directory = strdup("/tmp"); /* only a name: the disk is a fake */
        told[0] = '\0';
        memset(unread, 0, sizeof unread);
        receiver_changes = 0;
        if (client_start(c, &observer, &error) < 0)
                fail_msg("%s", error.text);
        strcpy(c->host, "h");
        fake_loop_set_idle(run_worker, NULL);
        run();
}

void client_end(void)
{
        client_clear(c);
        free(c);
        c = NULL;
}

void client_crash(void)
{
        fake_disk_crash();
        client_end();
        fake_disk_power_on(FAKE_LOSE, 1);
        client_begin();
}

int client_setup(void **state)
{
        fake_disk_reset();
        fake_loop_reset();
        log_set_level(LOG_EMERG);
        client_config_init(&config);
        last = (Submitted){};
        receivers_are_frozen = false;
        client_begin();
        return 0;
}

int client_teardown(void **state)
{
        client_end();
        return 0;
}

sd_id128_t id_of(char name)
{
        return (sd_id128_t){.bytes = {(uint8_t) name}};
}

Peer *peer_of(char name)
{
        return peer_find(c, id_of(name));
}

static void answer_list(const char *names, const char *draining, bool plain)
{
        static unsigned revision;
        _cleanup_(cjson_deletep) cJSON *json = cJSON_CreateObject();
        cJSON *array = cJSON_AddArrayToObject(json, "receivers");
        _cleanup_free_ char *word = str_format("r%u", ++revision);

        cJSON_AddStringToObject(json, "revision", word);
        for (; *names; names++) {
                Address address = {ADDRESS_TCP, "host", (uint16_t) *names};
                char name[] = {*names, '@', 'h', '\0'};
                char group[] = {*names >= 'A' && *names <= 'Z' ? 'G' : 'g', '\0'};
                const ReceiverInfo info = {
                                .id = id_of(*names),
                                .instance = plain ? SD_ID128_NULL : id_of(*names),
                                .name = name,
                                .group = group,
                                .addresses = &address,
                                .n_addresses = 1,
                                .capacity = 8,
                                .draining = strchr(draining, *names),
                                .plain = plain,
                };
                cJSON_AddItemToArray(array, receiver_json_print(&info));
        }
        _cleanup_free_ char *text = cJSON_PrintUnformatted(json);
        pass(1); /* the next request comes from the loop */
        assert_non_null(fake_http_request());
        fake_http_answer(fake_http_request(), 200, text);
        run();
}

void list(const char *names)
{
        answer_list(names, "", false);
}

void list_draining(const char *names, const char *draining)
{
        answer_list(names, draining, false);
}

void list_plain(const char *names)
{
        answer_list(names, "", true);
}

void discovery_fails(void)
{
        pass(1);
        fake_http_answer(fake_http_request(), -ECONNREFUSED, NULL);
        run();
}

Connection *wire(char name)
{
        Connection *s;

        for (unsigned n = 0; (s = fake_connection(n)); n++) {
                const Address *address = fake_connection_address(s);
                if (address && address->port == (uint16_t) name)
                        return s;
        }
        return NULL;
}

static void forget_read(char name)
{
        if (unread[(uint8_t) name] > 0)
                buffer_consume(fake_connection_received(wire(name)), unread[(uint8_t) name]);
        unread[(uint8_t) name] = 0;
}

bool read_frame(char name, Frame *ret)
{
        Error error = {};
        Buffer *b;

        run();
        if (!wire(name))
                return false;
        forget_read(name);
        b = fake_connection_received(wire(name));
        ssize_t n = frame_decode(buffer_peek(b), buffer_size(b), FRAME_BODY_MAX, ret, NULL, &error);
        assert_true(n >= 0);
        unread[(uint8_t) name] = (size_t) n;
        return n > 0;
}

bool next_frame(char name, Frame *ret)
{
        while (read_frame(name, ret))
                if (ret->type != FRAME_HELLO && ret->type != FRAME_SETTLED && ret->type != FRAME_PING)
                        return true;
        return false;
}

bool next_settled(char name, Frame *ret)
{
        while (read_frame(name, ret))
                if (ret->type == FRAME_SETTLED)
                        return true;
        return false;
}

MessageFrame expect_message(char name, const char *payload)
{
        Frame f;

        assert_true(next_frame(name, &f));
        assert_int_equal(f.type, FRAME_MESSAGE);
        assert_int_equal(f.message.payload.size, strlen(payload));
        assert_memory_equal(f.message.payload.data, payload, strlen(payload));
        return f.message;
}

void expect_nothing(char name)
{
        Frame f;

        assert_false(next_frame(name, &f));
}

void send_frame(char name, const Frame *f)
{
        Buffer b = {};

        assert_int_equal(frame_encode(&b, f), 0);
        fake_connection_send(wire(name), buffer_peek(&b), buffer_size(&b));
        buffer_clear(&b);
        run();
}

void welcome(char name, uint32_t credit)
{
        Frame f;

        assert_non_null(wire(name));
        unread[(uint8_t) name] = 0;
        fake_connection_accept(wire(name));
        assert_true(read_frame(name, &f));
        assert_int_equal(f.type, FRAME_HELLO);
        assert_true(sd_id128_equal(f.hello.receiver, id_of(name)));
        send_frame(name, &(Frame){.type = FRAME_WELCOME,
                                         .welcome = {id_of(name), id_of(name), credit, STREAM_WINDOW,
                                                         PAYLOAD_DEFAULT_MAX, {(const uint8_t *) "h", 1}}});
}

void answer(char name, const MessageFrame *m, Outcome outcome, const char *text)
{
        send_frame(name, &(Frame){.type = FRAME_ANSWER,
                                         .answer = {m->stream, m->sequence, m->message, m->attempt, outcome,
                                                         0, {(const uint8_t *) text, strlen(text)}}});
}

void hang_up(char name, int error)
{
        unread[(uint8_t) name] = 0;
        fake_connection_end(wire(name), error);
        run();
}

static void on_submitted(Message *m, int r, uint64_t number, void *userdata)
{
        last.result = r;
        last.id = m ? m->record.id : SD_ID128_NULL;
}

Submission submission(SelectorMode mode, const char *target, const char *payload)
{
        return (Submission){
                        .mode = mode,
                        .target = target,
                        .payload = payload,
                        .size = strlen(payload),
                        .policy = POLICY_ALL_OPEN,
        };
}

int submit(Submission s)
{
        int r;

        submit_error.text[0] = '\0';
        last = (Submitted){.result = 1};
        r = client_submit(c, &s, on_submitted, NULL, &submit_error);
        run();
        return r;
}

Message *find(void)
{
        return message_find(c, last.id);
}

static Message *accepted(Submission s)
{
        assert_int_equal(submit(s), 0);
        assert_int_equal(last.result, 0);
        assert_non_null(find());
        return find();
}

Message *send_to(const char *target, const char *payload)
{
        return accepted(submission(SELECTOR_TO, target, payload));
}

Message *send_any(const char *payload)
{
        return accepted(submission(SELECTOR_ANY, "", payload));
}

const char *events(void)
{
        static char text[sizeof told];

        strcpy(text, told);
        told[0] = '\0';
        return text;
}

void assert_state(const Message *m, DeliveryState state)
{
        assert_string_equal(delivery_state_to_string(m->record.state), delivery_state_to_string(state));
}

static void on_found(DbOp *op, int r)
{
        op->result = r;
}

DeliveryState stored_state(sd_id128_t id)
{
        OutboxFindOp o;

        outbox_find_op_init(&o, OUTBOX_ID, 2);
        o.first = o.last = id;
        o.op.done = on_found;
        db_submit(c->db, &o.op);
        run();
        assert_int_equal(o.op.result, 0);
        assert_int_equal(o.n_records, 1);
        DeliveryState state = o.records[0].state;
        outbox_records_free(o.records, o.n_records);
        return state;
}

unsigned n_receiver_changes(void)
{
        return receiver_changes;
}
