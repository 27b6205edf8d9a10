/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* HTTP between processes of a world (world/net.h). */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str-util.h"
#include "http/http-client.h"
#include "http/http-server.h"
#include "runtime/listen.h"
#include "world/inside.h"
#include "world/memory.h"
#include "world/net.h"

#define LONG_USEC (60 * USEC_PER_SEC)

static struct {
        Process *process;
        const char *address;
        HttpExchange *later;
        unsigned n_requests;
        Loop *loop;
} server;

static struct {
        Process *process;
        const char *address, *path, *name;
        unsigned n_done;
        int status;
        char text[64], ip[32];
        uint64_t at;
} client;

static Machine *machines[2];

static void on_echo(HttpExchange *x, void *userdata)
{
        size_t n;

        server.n_requests++;
        http_reply(x, 200,
                        str_format("[\"%s\",\"%s\",%d]", http_body(x, &n), http_bearer(x),
                                        http_is_local(x)));
}

static void on_later(HttpExchange *x, void *userdata)
{
        server.n_requests++;
        server.later = x;
}

static const HttpRoute routes[] = {{"POST", "/echo", 100, on_echo}, {"POST", "/later", 100, on_later}};

static int serve(void *userdata)
{
        HttpService service = {.routes = routes, .n_routes = ELEMENTSOF(routes)};
        ListenerSet set = {};
        HttpServer *s;
        Error error = {};
        Address a;

        assert_int_equal(loop_new(NULL, NULL, &server.loop), 0);
        assert_int_equal(address_parse(server.address, &a, NULL), 0);
        service.local = a.kind == ADDRESS_UNIX;
        if (listeners_bind(&set, &a, 0660, &error) < 0)
                fail_msg("%s", error.text);
        assert_int_equal(http_server_new(server.loop, set.listeners[0].fd, &service, &s), 0);
        const int status = loop_run(server.loop);
        http_server_free(s);
        listeners_clear(&set);
        loop_free(server.loop);
        return status;
}

static void on_done(int status, const char *body, size_t size, const char *local_ip, const Error *error,
                void *userdata)
{
        client.n_done++;
        client.status = status;
        client.at = world_now();
        str_copy(client.text, sizeof client.text, status < 0 ? error->text : body);
        str_copy(client.ip, sizeof client.ip, local_ip);
}

static int ask(void *userdata)
{
        const HttpCall call = {.method = "POST",
                        .path = client.path,
                        .token = "t",
                        .body = "b",
                        .timeout_usec = 8 * USEC_PER_SEC};
        HttpClient *c;
        Loop *loop;
        Address a;

        assert_int_equal(loop_new(NULL, NULL, &loop), 0);
        assert_int_equal(http_client_new(loop, &c), 0);
        assert_int_equal(address_parse(client.address, &a, NULL), 0);
        assert_int_equal(http_client_request(c, &a, &call, on_done, NULL, NULL), 0);
        const int status = loop_run(loop);
        http_client_free(c);
        loop_free(loop);
        return status;
}

static void run_for(uint64_t usec)
{
        world_run(world_now() + usec, NULL, NULL);
}

static void start_server(void)
{
        process_start(server.process, serve, NULL);
        run_for(1000);
}

/* Asks, and waits so long. */
static void request(const char *path, uint64_t usec)
{
        process_kill(client.process);
        client.n_done = 0;
        client.path = path;
        process_start(client.process, ask, NULL);
        run_for(usec);
}

static int setup(void **state)
{
        world_begin();
        memory_begin();
        machines[0] = machine_new("m0");
        machines[1] = machine_new("m1");
        client.process = process_new(machines[0], "client");
        server.process = process_new(machines[1], "server");
        client.address = server.address = "tcp:10.0.0.2:80";
        server.n_requests = 0;
        return 0;
}

static int teardown(void **state)
{
        world_end();
        return 0;
}

static void link_both(const NetLink *l)
{
        net_set(machines[0], machines[1], l);
        net_set(machines[1], machines[0], l);
}

static void test_answer(void **state)
{
        link_both(&(NetLink){.delay_min_usec = 20000, .delay_max_usec = 20000});
        start_server();
        request("/echo", 39000);
        assert_int_equal(server.n_requests, 1);
        assert_int_equal(client.n_done, 0);
        run_for(2000);
        assert_int_equal(client.status, 200);
        assert_string_equal(client.text, "[\"b\",\"t\",0]");
        assert_string_equal(client.ip, "10.0.0.1");
        request("/nowhere", LONG_USEC);
        assert_int_equal(client.status, 404);
}

static void test_unix(void **state)
{
        client.address = server.address = "unix:/m1/http.sock";
        start_server();
        request("/echo", 1000);
        assert_int_equal(client.status, -ECONNREFUSED); /* another machine */
        client.process = process_new(machines[1], "near");
        request("/echo", 1000);
        assert_int_equal(client.status, 200);
        assert_string_equal(client.text, "[\"b\",\"t\",1]");
        assert_string_equal(client.ip, "");
}

static void test_nobody_answers(void **state)
{
        request("/echo", USEC_PER_SEC);
        assert_int_equal(client.status, -ECONNREFUSED);
        start_server();
        uint64_t since = world_now();
        net_set(machines[1], machines[0], &(NetLink){.down = true});
        request("/echo", LONG_USEC);
        assert_int_equal(client.status, -ETIMEDOUT); /* of the connect */
        assert_string_equal(client.ip, "");
        assert_in_range(client.at, since + 3 * USEC_PER_SEC, since + 4 * USEC_PER_SEC);
        assert_int_equal(server.n_requests, 0);
        net_set(machines[1], machines[0], &(NetLink){});

        since = world_now();
        process_freeze(server.process, true);
        request("/echo", LONG_USEC);
        assert_int_equal(client.status, -ETIMEDOUT); /* of the whole */
        assert_in_range(client.at, since + 8 * USEC_PER_SEC, since + 9 * USEC_PER_SEC);
        process_freeze(server.process, false);
        run_for(1000);
        assert_int_equal(server.n_requests, 1); /* nobody waits for it */
        assert_int_equal(client.n_done, 1);
}

static void test_lost_answer(void **state)
{
        start_server();
        net_lose_answers(client.process, 1);
        request("/echo", LONG_USEC);
        assert_int_equal(server.n_requests, 1);
        assert_int_equal(client.status, -ETIMEDOUT);
        request("/echo", LONG_USEC);
        assert_int_equal(client.status, 200);
}

static void test_server_dies(void **state)
{
        start_server();
        request("/later", USEC_PER_SEC);
        assert_int_equal(server.n_requests, 1);
        process_kill(server.process);
        run_for(USEC_PER_SEC);
        assert_int_equal(client.status, -ECONNRESET);

        start_server();
        request("/later", USEC_PER_SEC);
        machine_power_off(machines[1], FAKE_KEEP);
        run_for(LONG_USEC);
        assert_int_equal(client.status, -ETIMEDOUT);
}

static void reply_later(void *userdata)
{
        http_reply(server.later, 200, NULL);
}

static void test_long_poll_and_held_answer(void **state)
{
        LoopWork work = {.run = reply_later};

        start_server();
        request("/later", 5 * USEC_PER_SEC);
        assert_int_equal(client.n_done, 0);
        net_set(machines[1], machines[0], &(NetLink){.down = true});
        loop_defer(server.loop, &work);
        loop_wake(server.loop);
        run_for(USEC_PER_SEC);
        assert_int_equal(client.n_done, 0);
        net_set(machines[1], machines[0], &(NetLink){});
        run_for(1000);
        assert_int_equal(client.n_done, 1);
        assert_int_equal(client.status, 200);
}

static void test_held_socket(void **state)
{
        net_keep_listening(server.address, true);
        request("/echo", 5 * USEC_PER_SEC);
        assert_int_equal(client.n_done, 0);
        start_server();
        run_for(1000);
        assert_int_equal(client.status, 200);
        process_kill(client.process);
        request("/later", 1000);
        process_kill(client.process); /* the server does not notice */
        process_signal(server.process, SIGTERM);
        run_for(1000);
        assert_false(process_is_up(server.process));
        request("/echo", 1000);
        assert_int_equal(client.n_done, 0);
        net_keep_listening(server.address, false);
        run_for(1000);
        assert_int_equal(client.status, -ECONNRESET);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                        TEST(test_answer),
                        TEST(test_unix),
                        TEST(test_nobody_answers),
                        TEST(test_lost_answer),
                        TEST(test_server_dies),
                        TEST(test_long_poll_and_held_answer),
                        TEST(test_held_socket),
        };

        return cmocka_run_group_tests_name("HTTP of the world", tests, NULL, NULL);
}
