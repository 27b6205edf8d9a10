/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str-util.h"
#include "base/time-util.h"
#include "http/http-client.h"
#include "http/http-server.h"
#include "runtime/listen.h"

static void echo(HttpExchange *x, void *userdata)
{
        size_t n;
        const char *body = http_body(x, &n);

        http_reply(x, 200, str_format("%s:%.*s:%s", http_argument(x), (int) n, body, http_bearer(x) ?: ""));
}

static void hold(HttpExchange *x, void *userdata)
{
        *(HttpExchange **) userdata = x;
}

static const HttpRoute routes[] = {
                {"POST", "/echo/*", 16, echo},
                {"GET", "/echo/*", 0, echo},
                {"GET", "/hold", 0, hold},
};

static void test_route(void **state)
{
        HttpMatch m;

        assert_int_equal(http_route_find(routes, 3, "GET", "/echo/a", &m), 200);
        assert_string_equal(m.argument, "a");
        assert_int_equal(http_route_find(routes, 3, "GET", "/echo/", &m), 404);
        assert_int_equal(http_route_find(routes, 3, "GET", "/echo/a/b", &m), 404);
        assert_int_equal(http_route_find(routes, 3, "GET", "/hol", &m), 404);
        assert_int_equal(http_route_find(routes, 3, "PUT", "/echo/a", &m), 405);
        assert_string_equal(m.allow, "POST, GET");
}

typedef struct Result {
        int status;
        char body[256], ip[64], error[512];
        bool done;
} Result;

static void on_done(int status, const char *body, size_t size, const char *local_ip, const Error *error,
                void *userdata)
{
        Result *result = userdata;

        result->status = status, result->done = true;
        strncpy(result->body, body, sizeof result->body - 1);
        strncpy(result->ip, local_ip, sizeof result->ip - 1);
        (void) snprintf(result->error, sizeof result->error, "%s", error->text);
}

static void wait_for(Loop *loop, const Result *result)
{
        uint64_t end = now_usec(CLOCK_BOOTTIME) + 5 * USEC_PER_SEC;

        while (!result->done && now_usec(CLOCK_BOOTTIME) < end)
                assert_true(loop_iterate(loop, 100 * USEC_PER_MSEC) >= 0);
        assert_true(result->done);
}

static void check_answers(Loop *loop, HttpClient *client, const Address *address, bool local)
{
        Result a = {}, b = {}, c = {};
        HttpCall post = {.method = "POST", .path = "/echo/x", .token = "t", .body = "hello"};
        assert_int_equal(http_client_request(client, address, &post, on_done, &a, NULL), 0);
        wait_for(loop, &a);
        assert_int_equal(a.status, 200);
        assert_string_equal(a.body, "x:hello:t");
        assert_string_equal(a.ip, local ? "" : "127.0.0.1");

        post.body = "more than sixteen bytes";
        assert_int_equal(http_client_request(client, address, &post, on_done, &b, NULL), 0);
        wait_for(loop, &b);
        assert_int_equal(b.status, 413);

        HttpCall get = {.method = "GET", .path = "/echo/y", .body_max = 1};
        assert_int_equal(http_client_request(client, address, &get, on_done, &c, NULL), 0);
        wait_for(loop, &c);
        assert_int_equal(c.status, -EMSGSIZE);
}

static void check_server(const char *address_text)
{
        ListenerSet set = {};
        HttpExchange *held = NULL;
        HttpServer *server = NULL;
        HttpClient *client = NULL;
        HttpRequest *request = NULL;
        Loop *loop = NULL;
        Address address;

        assert_int_equal(loop_new(NULL, NULL, &loop), 0);
        assert_int_equal(address_parse(address_text, &address, NULL), 0);
        assert_int_equal(listeners_bind(&set, &address, 0600, NULL), 0);
        address = set.listeners[0].address;
        bool local = address.kind == ADDRESS_UNIX;
        HttpService service = {.routes = routes, .n_routes = 3, .userdata = &held, .local = local};
        assert_int_equal(http_server_new(loop, set.listeners[0].fd, &service, &server), 0);
        assert_int_equal(http_client_new(loop, &client), 0);

        check_answers(loop, client, &address, local);

        /* An answer that comes later wakes the connection at once. */
        Result d = {};
        HttpCall later = {.method = "GET", .path = "/hold"};
        assert_int_equal(http_client_request(client, &address, &later, on_done, &d, NULL), 0);
        for (int i = 0; i < 50 && !held; i++)
                assert_true(loop_iterate(loop, 100 * USEC_PER_MSEC) >= 0);
        assert_non_null(held);
        uint64_t start = now_usec(CLOCK_BOOTTIME);
        http_reply(held, 200, strdup("late"));
        wait_for(loop, &d);
        assert_string_equal(d.body, "late");
        assert_true(now_usec(CLOCK_BOOTTIME) - start < USEC_PER_SEC);

        /* One is under way at each side when both end. */
        held = NULL;
        assert_int_equal(http_client_request(client, &address, &later, on_done, &d, &request), 0);
        for (int i = 0; i < 50 && !held; i++)
                assert_true(loop_iterate(loop, 100 * USEC_PER_MSEC) >= 0);
        assert_null(http_request_cancel(request));
        http_server_free(server);
        listeners_clear(&set);

        Result e = {};
        HttpCall get = {.method = "GET", .path = "/echo/y"};
        assert_int_equal(http_client_request(client, &address, &get, on_done, &e, NULL), 0);
        wait_for(loop, &e);
        assert_int_equal(e.status, -ECONNREFUSED);
        /* The same each time, or who tries again could not tell that it is: no milliseconds in it. */
        assert_string_equal(e.error, strerror(local ? ENOENT : ECONNREFUSED));
        http_client_free(client);
        loop_free(loop);
}

static void test_tcp(void **state)
{
        check_server("tcp:127.0.0.1:0");
}

static void test_unix(void **state)
{
        char directory[] = "/tmp/test-http-XXXXXX", text[64];

        assert_non_null(mkdtemp(directory));
        (void) snprintf(text, sizeof text, "unix:%s/s", directory);
        check_server(text);
        assert_int_equal(rmdir(directory), 0);
}

/* A resolver that gets no answer from its server, until the test writes. */
static int unanswered[2];

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
        typeof(getaddrinfo) *real;
        char c;

        if (!str_equal(name, "unanswered.example")) {
                *(void **) &real = dlsym(RTLD_NEXT, "getaddrinfo");
                return real(name, service, hints, ret);
        }
        (void) !read(unanswered[0], &c, 1);
        return EAI_AGAIN;
}

/* Neither the loop nor the end of the client waits for it; if one did, this would never end. */
static void test_unanswered_lookup(void **state)
{
        HttpCall get = {.method = "GET", .path = "/", .connect_usec = 200 * USEC_PER_MSEC};
        Result cancelled = {}, late = {}, freed = {};
        HttpClient *client = NULL;
        HttpRequest *request = NULL;
        Loop *loop = NULL;
        Address address;

        assert_int_equal(pipe(unanswered), 0);
        assert_int_equal(loop_new(NULL, NULL, &loop), 0);
        assert_int_equal(http_client_new(loop, &client), 0);
        assert_int_equal(address_parse_url("http://unanswered.example:7480", &address, NULL), 0);
        assert_int_equal(http_client_request(client, &address, &get, on_done, &cancelled, &request), 0);
        assert_true(loop_iterate(loop, 0) >= 0);
        assert_null(http_request_cancel(request));
        assert_int_equal(http_client_request(client, &address, &get, on_done, &late, NULL), 0);
        wait_for(loop, &late);
        assert_int_equal(late.status, -ETIMEDOUT);
        assert_int_equal(http_client_request(client, &address, &get, on_done, &freed, NULL), 0);
        http_client_free(client);
        loop_free(loop);
        assert_false(cancelled.done || freed.done);
        assert_int_equal(write(unanswered[1], "...", 3), 3);
}

/* A process that is on its way to a program has all of our sockets; this one stays there, and speaks up on
 * each of them when it is told to. */
static pid_t fork_with_sockets(int told)
{
        pid_t pid = fork();
        char byte;

        if (pid != 0)
                return pid;
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void) !read(told, &byte, 1);
        for (int fd = 3; fd < 64; fd++)
                (void) shutdown(fd, SHUT_RDWR);
        (void) pause();
        _exit(0);
}

/* A connection that never came about is gone from the loop with its request, whoever else has the socket. */
static void test_unanswered_connection(void **state)
{
        struct sockaddr_in deaf = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        HttpCall call = {.method = "GET", .path = "/", .timeout_usec = 300 * USEC_PER_MSEC};
        int listener = socket(AF_INET, SOCK_STREAM, 0), waiting[4], told[2];
        socklen_t n = sizeof deaf;
        HttpClient *client = NULL;
        Loop *loop = NULL;
        char text[64];
        Result a = {};
        Address address;

        /* Its queue is full: it answers no SYN. */
        assert_int_equal(bind(listener, (struct sockaddr *) &deaf, n), 0);
        assert_int_equal(listen(listener, 0), 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *) &deaf, &n), 0);
        for (size_t i = 0; i < ELEMENTSOF(waiting); i++) {
                waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
                (void) connect(waiting[i], (struct sockaddr *) &deaf, sizeof deaf);
        }
        (void) snprintf(text, sizeof text, "tcp:127.0.0.1:%u", ntohs(deaf.sin_port));
        assert_int_equal(address_parse(text, &address, NULL), 0);
        assert_int_equal(pipe(told), 0);
        assert_int_equal(loop_new(NULL, NULL, &loop), 0);
        assert_int_equal(http_client_new(loop, &client), 0);
        assert_int_equal(http_client_request(client, &address, &call, on_done, &a, NULL), 0);
        while (!a.done && a.status++ < 5)
                assert_true(loop_iterate(loop, 20 * USEC_PER_MSEC) >= 0);
        assert_false(a.done);
        pid_t child = fork_with_sockets(told[0]);
        assert_true(child > 0);
        wait_for(loop, &a);
        assert_int_equal(a.status, -ETIMEDOUT);

        assert_int_equal(write(told[1], "x", 1), 1);
        for (uint64_t end = now_usec(CLOCK_BOOTTIME) + 200 * USEC_PER_MSEC; now_usec(CLOCK_BOOTTIME) < end;)
                assert_true(loop_iterate(loop, 20 * USEC_PER_MSEC) >= 0);

        (void) kill(child, SIGKILL);
        (void) waitpid(child, NULL, 0);
        http_client_free(client);
        loop_free(loop);
        for (size_t i = 0; i < ELEMENTSOF(waiting); i++)
                (void) close(waiting[i]);
        (void) close(listener);
        (void) close(told[0]);
        (void) close(told[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_route),
                        cmocka_unit_test(test_tcp),
                        cmocka_unit_test(test_unix),
                        cmocka_unit_test(test_unanswered_lookup),
                        cmocka_unit_test(test_unanswered_connection),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
