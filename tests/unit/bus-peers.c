/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The discovery and the receiver of the fixture. */

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str-util.h"
#include "bus-fixture.h"
#include "http/http-server.h"
#include "runtime/connection.h"
#include "runtime/watch.h"
#include "wire/frame.h"

/* Discovery. */

static const char list[] = "{\"revision\":\"1\",\"receivers\":["
                           "{\"id\":\"" RECEIVER_ID
                           "\",\"instance\":\"11111111-1111-4111-8111-111111111111\",\"name\":\"1@here\","
                           "\"group\":\"jobs\",\"labels\":{\"zone\":\"a\"},\"capacity\":10,"
                           "\"addresses\":[\"unix:%s/r.sock\"]},"
                           "{\"id\":\"22222222-2222-4222-8222-222222222222\","
                           "\"instance\":\"11111111-1111-4111-8111-111111111112\",\"name\":\"2@there\","
                           "\"group\":\"idle\",\"labels\":{},\"capacity\":1,"
                           "\"addresses\":[\"unix:%s/nobody.sock\"]},"
                           "{\"id\":\"33333333-3333-4333-8333-333333333333\","
                           "\"instance\":\"11111111-1111-4111-8111-111111111113\",\"name\":\"2@beyond\","
                           "\"group\":\"idle\",\"labels\":{},\"capacity\":1,"
                           "\"addresses\":[\"unix:%s/nobody.sock\"]}]}";

static void give_list(HttpExchange *x, void *userdata)
{
        Fixture *f = userdata;

        if (http_query(x, "since") || http_query(x, "wait")) /* nothing changes */
                return;
        if (f->list_status != 200)
                http_reply(x, f->list_status, NULL);
        else
                http_reply(x, 200, str_format(list, f->directory, f->directory, f->directory));
}

static void take_drain(HttpExchange *x, void *userdata)
{
        Fixture *f = userdata;

        f->n_drains++;
        if (f->drain_status > 0) /* else it does not answer */
                http_reply(x, f->drain_status, NULL);
}

static const HttpRoute routes[] = {
                {"GET", "/v1/receivers", 0, give_list},
                {"PUT", "/v1/receivers/*/draining", 64, take_drain},
};

static int listen_at(const Fixture *f, const char *name)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        (void) snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", f->directory, name);
        assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof address), 0);
        assert_int_equal(listen(fd, 16), 0);
        return fd;
}

/* The receiver: one connection at a time. */

struct FakeReceiver {
        Fixture *fixture;
        int fd;
        Watch watch;
        Connection *connection;
};

static void say(FakeReceiver *v, const Frame *f)
{
        assert_true(frame_encode(connection_output(v->connection), f) >= 0);
        connection_flush(v->connection);
}

static void answer_message(FakeReceiver *v, const MessageFrame *m)
{
        static const struct {
                const char *payload, *data;
                Outcome outcome;
        } answers[] = {
                        {"fail", "did not work", OUTCOME_FAILED},
                        {"reject", "not for me", OUTCOME_REJECTED},
                        {"work", "40 copying", OUTCOME_WORKING},
        };
        Frame f = {.type = FRAME_ANSWER};

        if (m->payload.size == 4 && memcmp(m->payload.data, "hold", 4) == 0)
                return;
        f.answer = (AnswerFrame){.stream = m->stream,
                        .sequence = m->sequence,
                        .message = m->message,
                        .attempt = m->attempt,
                        .outcome = OUTCOME_ACKED,
                        .data = {(const uint8_t *) "done", 4}};
        for (size_t i = 0; i < ELEMENTSOF(answers); i++)
                if (m->payload.size == strlen(answers[i].payload) &&
                                memcmp(m->payload.data, answers[i].payload, m->payload.size) == 0) {
                        f.answer.outcome = answers[i].outcome;
                        f.answer.data = (Bytes){(const uint8_t *) answers[i].data, strlen(answers[i].data)};
                }
        say(v, &f);
}

static void on_frame(FakeReceiver *v, const Frame *in)
{
        Frame f = {};

        if (in->type == FRAME_HELLO) {
                f.type = FRAME_WELCOME;
                f.welcome = (WelcomeFrame){.receiver = in->hello.receiver,
                                .instance = in->hello.receiver,
                                .credit = 10,
                                .window = 1000,
                                .max_payload = 65536,
                                .name = {(const uint8_t *) "1@here", 6}};
                say(v, &f);
        } else if (in->type == FRAME_MESSAGE)
                answer_message(v, &in->message);
        else if (in->type == FRAME_CANCEL) {
                f.type = FRAME_ANSWER;
                f.answer = (AnswerFrame){.stream = in->cancel.stream,
                                .sequence = in->cancel.sequence,
                                .message = in->cancel.message,
                                .outcome = OUTCOME_CANCELLED};
                say(v, &f);
        }
}

static void on_readable(Connection *c, void *userdata)
{
        FakeReceiver *v = userdata;
        Buffer *in = connection_input(c);
        Error error = {};
        ssize_t n;
        Frame f;

        while ((n = frame_decode(buffer_peek(in), buffer_size(in), FRAME_BODY_MAX, &f, NULL, &error)) > 0) {
                on_frame(v, &f);
                buffer_consume(in, (size_t) n);
        }
        assert_int_equal(n, 0);
}

static void on_ended(Connection *c, int error, void *userdata)
{
        FakeReceiver *v = userdata;

        v->connection = connection_free(v->connection);
}

static void on_connection(uint32_t events, void *userdata)
{
        static const ConnectionCallbacks callbacks = {.readable = on_readable, .ended = on_ended};
        FakeReceiver *v = userdata;
        int r = accept4(v->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        assert_true(r >= 0);
        v->connection = connection_free(v->connection);
        assert_true(connection_new(v->fixture->client.loop, r, &callbacks, v, &v->connection) >= 0);
}

static FakeReceiver *receiver_new(Fixture *f)
{
        FakeReceiver *v = calloc(1, sizeof *v);

        assert_non_null(v);
        v->fixture = f;
        v->fd = listen_at(f, "r.sock");
        assert_true(watch_start(&v->watch, f->client.loop, v->fd, EPOLLIN, on_connection, v) >= 0);
        return v;
}

static void receiver_free(FakeReceiver *v)
{
        if (!v)
                return;
        watch_stop(&v->watch);
        (void) close(v->fd);
        connection_free(v->connection);
        free(v);
}

void peers_start(Fixture *f)
{
        const HttpService service = {
                        .routes = routes, .n_routes = ELEMENTSOF(routes), .userdata = f, .local = true};
        f->discovery_fd = listen_at(f, "d.sock");
        assert_true(http_server_new(f->client.loop, f->discovery_fd, &service, &f->discovery) >= 0);
        f->receiver = receiver_new(f);
        (void) close(listen_at(f, "nobody.sock")); /* connections are refused */
}

void end_discovery(Fixture *f)
{
        f->discovery = http_server_free(f->discovery);
        if (f->discovery_fd >= 0)
                (void) close(f->discovery_fd);
        f->discovery_fd = -1;
}

void peers_end(Fixture *f)
{
        end_discovery(f);
        receiver_free(f->receiver);
        f->receiver = NULL;
}
