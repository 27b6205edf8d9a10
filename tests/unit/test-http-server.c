/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The HTTP server as its own bytes show it: what a route's function sees of a request, and what goes over
 * the wire. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/str-util.h"
#include "base/time-util.h"
#include "http/http-gzip.h"
#include "http/http-server.h"
#include "runtime/listen.h"

#define LARGE (200u << 10)

typedef struct Fixture {
        Loop *loop;
        ListenerSet set;
        HttpServer *server;
        HttpExchange *held;
        HttpAnswer *answer, *large;
        char seen[512];
        unsigned n_values;
        Buffer input;
} Fixture;

static bool count_value(const char *value, void *userdata)
{
        Fixture *f = userdata;

        f->n_values++;
        strncat(f->seen, value, sizeof f->seen - strlen(f->seen) - 1);
        strcat(f->seen, ";");
        return f->n_values < 3;
}

static void on_look(HttpExchange *x, void *userdata)
{
        Fixture *f = userdata;

        (void) snprintf(f->seen, sizeof f->seen, "%s %s %s %s %d ", http_query(x, "a") ?: "-",
                        http_query(x, "none") ?: "-", http_bearer(x) ?: "-", http_header(x, "X-Test") ?: "-",
                        http_is_local(x));
        http_query_each(x, "many", count_value, f);
        http_reply(x, 204, NULL);
}

static void on_given(HttpExchange *x, void *userdata)
{
        http_give(x, ((Fixture *) userdata)->answer);
}

static void on_large(HttpExchange *x, void *userdata)
{
        http_give(x, ((Fixture *) userdata)->large);
}

static void on_body(HttpExchange *x, void *userdata)
{
        size_t n;
        const char *body = http_body(x, &n);

        http_reply(x, 200, str_format("%zu %c", n, body[n - 1]));
}

static void on_hold(HttpExchange *x, void *userdata)
{
        ((Fixture *) userdata)->held = x;
}

static const HttpRoute routes[] = {
                {"GET", "/look", 0, on_look},
                {"GET", "/given", 0, on_given},
                {"GET", "/large", 0, on_large},
                {"GET", "/hold", 0, on_hold},
                {"POST", "/body", 5000, on_body},
};

static void start(Fixture *f, const char *listen, unsigned per_address)
{
        Address address;
        char *text = malloc(LARGE);

        memset(text, 'x', LARGE);
        assert_int_equal(loop_new(NULL, NULL, &f->loop), 0);
        assert_int_equal(address_parse(listen, &address, NULL), 0);
        assert_int_equal(listeners_bind(&f->set, &address, 0600, NULL), 0);
        const HttpService service = {
                        .routes = routes,
                        .n_routes = ELEMENTSOF(routes),
                        .userdata = f,
                        .local = address.kind == ADDRESS_UNIX,
                        .connections_per_address = per_address,
        };
        assert_int_equal(http_server_new(f->loop, f->set.listeners[0].fd, &service, &f->server), 0);
        f->answer = http_answer_new(200, "{}", 2);
        assert_int_equal(http_answer_add_header(f->answer, "ETag", "\"5\""), 0);
        f->large = http_answer_new(200, text, LARGE);
        free(text);
}

static int setup(void **state)
{
        static Fixture f;

        f = (Fixture){};
        *state = &f;
        start(&f, "tcp:127.0.0.1:0", 2);
        return 0;
}

static int teardown(void **state)
{
        Fixture *f = *state;

        http_server_free(f->server);
        http_answer_free(f->answer);
        http_answer_free(f->large);
        listeners_clear(&f->set);
        buffer_clear(&f->input);
        loop_free(f->loop);
        return 0;
}

static int connect_to(const Fixture *f)
{
        struct sockaddr_storage ss;
        socklen_t n;

        assert_int_equal(address_to_sockaddr(&f->set.listeners[0].address, &ss, &n), 0);
        int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (struct sockaddr *) &ss, n), 0);
        return fd;
}

static void send_text(int fd, const char *text)
{
        assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t) strlen(text));
}

/* Reads until the answers have this text in them, or the connection ends. */
static const char *receive(Fixture *f, int fd, const char *until)
{
        char chunk[65536];
        ssize_t n = -1;

        buffer_clear(&f->input);
        for (unsigned i = 0; i < 5000 && n != 0; i++) {
                assert_true(loop_iterate(f->loop, USEC_PER_MSEC) >= 0);
                n = recv(fd, chunk, sizeof chunk, MSG_DONTWAIT);
                if (n > 0)
                        assert_int_equal(buffer_append(&f->input, chunk, (size_t) n), 0);
                if (buffer_size(&f->input) > 0 &&
                                memmem(buffer_peek(&f->input), buffer_size(&f->input), until, strlen(until)))
                        break;
        }
        assert_int_equal(buffer_append(&f->input, "", 1), 0);
        return (const char *) buffer_peek(&f->input);
}

static const char *ask(Fixture *f, const char *request, const char *until)
{
        int fd = connect_to(f);

        send_text(fd, request);
        const char *text = receive(f, fd, until);
        (void) close(fd);
        return text;
}

static void test_what_a_route_sees(void **state)
{
        Fixture *f = *state;

        (void) ask(f,
                        "GET /look?a=x%20y&many=1&many&many=3&many=4 HTTP/1.1\r\nHost: h\r\nAuthorization: "
                        "Bearer tok\r\n"
                        "X-Test: yes\r\n\r\n",
                        "204");
        assert_string_equal(f->seen, "x y - tok yes 0 1;;3;");
}

static void test_prepared_answers(void **state)
{
        Fixture *f = *state;
        const char *text = ask(f, "GET /given HTTP/1.1\r\nHost: h\r\n\r\n", "{}");

        assert_non_null(strstr(text, "ETag: \"5\"\r\n"));
        assert_non_null(strstr(text, "Content-Type: application/json\r\n"));
        text = ask(f, "GET /large HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "never");
        assert_non_null(strstr(text, "Content-Length: 204800\r\n"));
        assert_int_equal(strspn(strstr(text, "\r\n\r\n") + 4, "x"), LARGE);
}

static void test_bodies(void **state)
{
        char body[6000], request[7000];
        Fixture *f = *state;

        memset(body, 'b', sizeof body);
        (void) snprintf(request, sizeof request,
                        "POST /body HTTP/1.1\r\nHost: h\r\nContent-Type: "
                        "application/json\r\nContent-Length: 3000\r\n\r\n%.3000s",
                        body);
        assert_non_null(strstr(ask(f, request, "3000 b"),
                        "3000 b")); /* larger than what an exchange has room for */
        (void) snprintf(request, sizeof request,
                        "POST /body HTTP/1.1\r\nHost: h\r\nContent-Type: "
                        "application/json\r\nContent-Length: 5001\r\n\r\n%.5001s",
                        body);
        assert_non_null(strstr(ask(f, request, "too-large"), "413"));
        assert_non_null(strstr(ask(f,
                                               "POST /body HTTP/1.1\r\nHost: h\r\nContent-Type: "
                                               "text/plain\r\nContent-Length: 1\r\n\r\nb",
                                               "wrong-type"),
                        "415"));
        assert_non_null(strstr(
                        ask(f, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nb", "wrong-type"),
                        "415"));
}

/* What a page in a browser of this host can send. */
static void test_web_pages(void **state)
{
        static const struct {
                const char *headers, *expected;
        } cases[] = {
                        {"Host: localhost:7480\r\nOrigin: http://localhost:7480", "403"},
                        {"Host: 127.0.0.1\r\nOrigin: null", "403"},
                        {"Host: rebound.example.org", "421"},
                        {"Host: 127.0.0.1.example.org:7480", "421"},
                        {"Host: localhost", "204"},
                        {"Host: 127.0.0.1:7480", "204"},
                        {"Host: [::1]:7480", "204"},
                        {"Host: discovery:7480", "204"},
        };
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char request[256], status[16];

                (void) snprintf(request, sizeof request, "GET /look HTTP/1.1\r\n%s\r\n\r\n",
                                cases[i].headers);
                (void) snprintf(status, sizeof status, "HTTP/1.1 %s ", cases[i].expected);
                assert_non_null(strstr(ask(f, request, "\r\n\r\n"), status));
        }
}

static void test_refusals(void **state)
{
        Fixture *f = *state;

        assert_non_null(strstr(ask(f, "GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n", "not-found"), " 404 "));
        assert_non_null(strstr(ask(f, "PUT /body HTTP/1.1\r\nHost: h\r\n\r\n", "method-not-allowed"),
                        "Allow: POST\r\n"));
}

/* Requests wait, are answered one after the other, and by 503 at the end. */
static void test_held_until_the_end(void **state)
{
        Fixture *f = *state;
        int fd = connect_to(f), other;

        send_text(fd, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\nGET /given HTTP/1.1\r\nHost: h\r\n\r\n");
        for (unsigned i = 0; i < 1000 && !f->held; i++)
                assert_true(loop_iterate(f->loop, USEC_PER_MSEC) >= 0);
        assert_non_null(f->held);
        http_reply(f->held, 200, strdup("held"));
        const char *text = receive(f, fd, "{}");
        assert_true(strstr(text, "held") < strstr(text, "{}"));
        f->held = NULL;
        other = connect_to(f);
        send_text(other, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
        for (unsigned i = 0; i < 1000 && !f->held; i++)
                assert_true(loop_iterate(f->loop, USEC_PER_MSEC) >= 0);
        f->server = http_server_free(f->server);
        assert_non_null(strstr(receive(f, other, "unavailable"), " 503 "));
        (void) close(fd);
        (void) close(other);
}

static void test_connections_per_address(void **state)
{
        Fixture *f = *state;
        int fds[3];

        for (size_t i = 0; i < 3; i++) {
                fds[i] = connect_to(f);
                send_text(fds[i], "GET /given HTTP/1.1\r\nHost: h\r\n\r\n");
                assert_int_equal(strstr(receive(f, fds[i], "{}"), "{}") != NULL, i < 2);
        }
        for (size_t i = 0; i < 3; i++)
                (void) close(fds[i]);
        for (unsigned i = 0; i < 20; i++)
                assert_true(loop_iterate(f->loop, USEC_PER_MSEC) >= 0);
        assert_non_null(strstr(ask(f, "GET /given HTTP/1.1\r\nHost: h\r\n\r\n", "{}"), "{}"));
}

static void test_gzip_header(void **state)
{
        static const struct {
                const char *header;
                bool accepted;
        } table[] = {
                        {NULL, false},
                        {"", false},
                        {"gzip", true},
                        {"deflate, GZIP", true},
                        {"gzip;q=0", false},
                        {"gzip;q=0.5, *;q=0", true},
                        {"*", true},
                        {"identity", false},
                        {"xgzip", false},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_int_equal(gzip_is_accepted(table[i].header), table[i].accepted);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_what_a_route_sees, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_prepared_answers, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_bodies, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_web_pages, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_held_until_the_end, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_connections_per_address, setup, teardown),
                        cmocka_unit_test(test_gzip_header),
        };

        return cmocka_run_group_tests_name("http-server", tests, NULL, NULL);
}
