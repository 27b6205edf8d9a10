/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/socket.h>
#include <systemd/sd-event.h>

#include "ctl-run.h"

#include "base/time-util.h"
#include "ctl/tally.h"
#include "wire/frame.h"

/* A client's end of the stream: the text of each line says what becomes of it. */
typedef struct Stream {
        int fd;
        uint32_t credit;
        uint64_t n; /* lines so far */
        Buffer in, out;
} Stream;

static Bytes bytes_of(const char *text)
{
        return (Bytes){(const uint8_t *) text, strlen(text)};
}

static void put(Stream *s, const Frame *f)
{
        assert_int_equal(frame_encode(&s->out, f), 0);
}

static void put_accepted(Stream *s)
{
        const uint8_t id[16] = {0x5f, 0x0c, [15] = (uint8_t) s->n};

        put(s, &(Frame){.type = FRAME_ACCEPTED, .accepted = {.first = s->n, .ids = {id, sizeof id}}});
}

static void put_settlement(Stream *s, SettlementEnd end, uint32_t attempts, Bytes data)
{
        put(s, &(Frame){.type = FRAME_SETTLEMENT,
                               .settlement = {.number = s->n,
                                               .attempts = attempts,
                                               .end = end,
                                               .data = data}});
}

static bool is(Bytes payload, const char *text)
{
        return payload.size == strlen(text) && memcmp(payload.data, text, payload.size) == 0;
}

/* False: the stream ends here. */
static bool on_line(Stream *s, Bytes payload)
{
        s->n++;
        if (is(payload, "close"))
                return false;
        if (is(payload, "error"))
                put(s, &(Frame){.type = FRAME_ERROR, .text = bytes_of("too much")});
        else if (is(payload, "garbage"))
                assert_int_equal(buffer_append(&s->out, "nonsense nonsense", 17), 0);
        else if (is(payload, "refuse"))
                put(s, &(Frame){.type = FRAME_REFUSED,
                                       .refused = {s->n, bytes_of("OutboxFull"), bytes_of("no room")}});
        else
                put_accepted(s);
        if (is(payload, "interrupt"))
                (void) kill(getpid(), SIGINT);
        else if (is(payload, "reject"))
                put_settlement(s, SETTLEMENT_REJECTED, 1, bytes_of("not\nfor me"));
        else if (is(payload, "retry"))
                put_settlement(s, SETTLEMENT_ACKED, 3, payload);
        else if (s->out.end > 0 && !is(payload, "hang") && !is(payload, "refuse"))
                put_settlement(s, SETTLEMENT_ACKED, 1, payload);
        return true;
}

static int on_stream(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        Stream *s = userdata;
        uint8_t *room = buffer_reserve(&s->in, 65536);
        ssize_t n = recv(fd, room, 65536, MSG_DONTWAIT);
        bool more = n > 0;
        Error error;
        Frame f;

        buffer_added(&s->in, n > 0 ? (size_t) n : 0);
        while (more && (n = frame_decode(buffer_peek(&s->in), buffer_size(&s->in), FRAME_BODY_MAX, &f, NULL,
                                        &error)) > 0) {
                more = on_line(s, f.submit.payload);
                buffer_consume(&s->in, (size_t) n);
        }
        if (buffer_size(&s->out) > 0)
                (void) !send(fd, buffer_peek(&s->out), buffer_size(&s->out), MSG_NOSIGNAL);
        buffer_clear(&s->out);
        if (!more) {
                (void) sd_event_source_disable_unref(source);
                (void) close(fd);
                buffer_clear(&s->in);
        }
        return 0;
}

static int open_stream(Service *service, sd_bus_message *call)
{
        Stream *s = service->userdata;
        sd_event_source *source;
        int fds[2], r;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        s->fd = fds[0];
        s->n = 0;
        put(s, &(Frame){.type = FRAME_CREDIT, .credit = s->credit});
        (void) !write(s->fd, buffer_peek(&s->out), buffer_size(&s->out));
        buffer_clear(&s->out);
        r = sd_event_add_io(service->event, &source, s->fd, EPOLLIN, on_stream, s);
        if (r >= 0)
                r = sd_bus_reply_method_return(call, "h", fds[1]);
        (void) close(fds[1]);
        return r;
}

static const ServiceMethods methods[] = {{"OpenStream", open_stream}, {}};

#define SEND(r, s, text, ...) (capture_set_input(text), RUN(r, methods, s, "send", "--lines", __VA_ARGS__))

static void test_all_are_acked(void **state)
{
        Stream s = {.credit = 2};
        Run r = {};

        assert_int_equal(SEND(&r, &s, "a\n\nretry\nlast", "--any", "--group=blue", "--priority=5"), EXIT_OK);
        assert_string_equal(
                        r.called, "OpenStream mode=any,target=blue,settlements=1,reply_cut=1,priority=5\n");
        assert_string_equal(r.capture.out, "");
        assert_contains(r.capture.err, "4 lines: 4 acked, 2 retried in 0.");
        run_clear(&r);
        assert_int_equal(SEND(&r, &s, "two\nlines\0end", "--all", "--null"), EXIT_OK);
        assert_contains(r.capture.err, "1 lines: 1 acked in 0.");
        run_clear(&r);
        assert_int_equal(SEND(&r, &s, "", "--any", "--no-legend"), EXIT_OK);
        assert_string_equal(r.capture.err, "");
        run_clear(&r);
}

static void test_failures(void **state)
{
        Stream s = {.credit = 100};
        Run r = {};

        assert_int_equal(SEND(&r, &s, "a\nreject\n", "--any"), EXIT_NOT_ACKED);
        assert_contains(r.capture.err, "ackctl: line 2: rejected: not\\nfor me\n2 lines: 1 acked, 1 "
                                       "rejected, 0 retried in ");
        run_clear(&r);
        assert_int_equal(SEND(&r, &s, "a\nrefuse\nreject\n", "--any"), EXIT_FAILED);
        assert_contains(r.capture.err, "ackctl: line 2: refused: no room\n");
        assert_contains(r.capture.err, "3 lines: 1 acked, 1 rejected, 1 refused, 0 retried");
        run_clear(&r);
        char many[25 * 7 + 1] = "";
        for (size_t i = 0; i < 25; i++)
                strcat(many, "reject\n");
        assert_int_equal(SEND(&r, &s, many, "--any"), EXIT_NOT_ACKED);
        assert_contains(r.capture.err, "line 20: rejected");
        assert_null(strstr(r.capture.err, "line 21: rejected"));
        assert_contains(r.capture.err, "ackctl: … and 5 more lines\n25 lines: 0 acked, 25 rejected");
        run_clear(&r);
}

static void test_json(void **state)
{
        Stream s = {.credit = 100};
        Run r = {};

        assert_int_equal(SEND(&r, &s, "a\nreject\nrefuse\n", "--any", "--json=short"), EXIT_FAILED);
        assert_contains(r.capture.out,
                        "{\"line\":1,\"id\":\"5f0c0000-0000-0000-0000-000000000001\",\"end\":\"acked\","
                        "\"attempts\":1,\"reply\":\"a\"}\n"
                        "{\"line\":2,\"id\":\"5f0c0000-0000-0000-0000-000000000002\",\"end\":\"rejected\","
                        "\"attempts\":1,\"error\":\"not\\nfor me\"}\n"
                        "{\"line\":3,\"end\":\"refused\",\"error\":\"no room\"}\n"
                        "{\"lines\":3,\"accepted\":2,\"acked\":1,\"rejected\":1,\"cancelled\":0,\"dead\":0,"
                        "\"replies_cut\":0,\"refused\":1,\"waiting\":0,\"retried\":0,\"seconds\":");
        assert_string_equal(r.capture.err, "");
        run_clear(&r);
        assert_int_equal(SEND(&r, &s, "hang\n", "--any", "--json=short", "--timeout=10ms"), EXIT_TIMEOUT);
        assert_contains(r.capture.out, "\"waiting\":1,");
        run_clear(&r);
        assert_int_equal(SEND(&r, &s, "hang\n", "--any", "--json=short", "--no-wait"), EXIT_OK);
        assert_contains(r.capture.out, "{\"line\":1,\"id\":\"5f0c0000-0000-0000-0000-000000000001\",\"end\":"
                                       "\"accepted\"}\n");
        run_clear(&r);
}

static void test_no_wait(void **state)
{
        Stream s = {.credit = 100};
        Run r = {};

        assert_int_equal(SEND(&r, &s, "hang\nhang\n", "--any", "--no-wait"), EXIT_OK);
        assert_string_equal(r.called, "OpenStream mode=any,target=,settlements=0,reply_cut=1\n");
        assert_string_equal(r.capture.out,
                        "5f0c0000-0000-0000-0000-000000000001\n5f0c0000-0000-0000-0000-000000000002\n");
        assert_contains(r.capture.err, "2 lines: 2 accepted, 0 retried in");
        run_clear(&r);
}

static void test_ends_too_early(void **state)
{
        Stream s = {.credit = 100};
        Run r = {};

        assert_int_equal(SEND(&r, &s, "a\nclose\n", "--any"), EXIT_NO_SERVICE);
        assert_contains(r.capture.err,
                        "the client has gone: 1 lines were accepted (they are delivered when it is back); "
                        "go on from line 2\n");
        run_clear(&r);
        assert_int_equal(SEND(&r, &s, "error\n", "--any"), EXIT_FAILED);
        assert_contains(r.capture.err, "the client closed the stream: too much\n");
        run_clear(&r);
        assert_int_equal(SEND(&r, &s, "garbage\n", "--any"), EXIT_FAILED);
        assert_contains(r.capture.err, "the client's answer cannot be read: ");
        run_clear(&r);
        assert_int_equal(SEND(&r, &s, "a\nhang\nrefuse\n", "--any", "--timeout=20ms"), EXIT_TIMEOUT);
        assert_contains(r.capture.err, "not done after 20ms: 2 lines are accepted and will be delivered; "
                                       "the next is line 4\n");
        assert_contains(r.capture.err, "1 refused, 1 waiting");
        run_clear(&r);
        assert_int_equal(SEND(&r, &s, "a\ninterrupt\nhang\n", "--any"), EXIT_INTERRUPTED);
        assert_contains(r.capture.err, "ackctl: interrupted: ");
        run_clear(&r);
}

static void test_what_cannot_be_sent(void **state)
{
        static const ServiceMethods none[] = {{}};
        Stream s = {.credit = 100};
        Run r = {};

        assert_int_equal(RUN(&r, methods, &s, "send", "--lines", "--any", "--file=/nonexistent"),
                        EXIT_FAILED);
        assert_contains(r.capture.err, "cannot open /nonexistent");
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, &s, "send", "--lines", "--any", "--file=/"), EXIT_FAILED);
        assert_contains(r.capture.err, "cannot read the lines");
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, &s, "send", "--lines", "--any", "--file=/dev/zero"), EXIT_FAILED);
        assert_contains(r.capture.err, "line 1 is longer than");
        run_clear(&r);
        assert_int_equal(RUN(&r, none, NULL, "send", "--lines", "--any"), EXIT_FAILED);
        run_clear(&r);
        assert_int_equal(RUN(&r, methods, &s, "send", "--lines", "--any", "--priority=high"), EXIT_USAGE);
        run_clear(&r);
}

/* The bar, without anything else. */
static void test_bar(void **state)
{
        Ctl c = {.err_is_terminal = true};
        Tally t = {.c = &c,
                        .input_size = 100,
                        .input_read = 50,
                        .submitted = 10,
                        .accepted = 10,
                        .retried = 1};
        Capture capture;

        t.ends[SETTLEMENT_ACKED] = 4;
        t.ends[SETTLEMENT_DEAD] = 1;
        capture_begin_terminal(&capture, 100);
        tally_show_bar(&t, 10 * USEC_PER_SEC);
        tally_show_bar(&t, 10 * USEC_PER_SEC + 1); /* too soon */
        t.input_size = 0;
        t.several = true;
        c.no_wait = true;
        tally_show_bar(&t, 20 * USEC_PER_SEC);
        c.no_wait = false;
        tally_refused(&t, 11, bytes_of("no"));
        tally_hide_bar(&t);
        capture_end(&capture);
        assert_string_equal(capture.out, "\r\033[K[######                  ]  25 %  5 done, 5 waiting, 1 "
                                         "retried, 30/min, left: 30s"
                                         "\r\033[K10 accepted, 0 waiting, 30/min"
                                         "\r\033[K\r\033[Kackctl: line 11: refused: no\n");
        capture_clear(&capture);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_all_are_acked),
                        cmocka_unit_test(test_failures),
                        cmocka_unit_test(test_json),
                        cmocka_unit_test(test_no_wait),
                        cmocka_unit_test(test_ends_too_early),
                        cmocka_unit_test(test_what_cannot_be_sent),
                        cmocka_unit_test(test_bar),
        };

        run_prepare();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
