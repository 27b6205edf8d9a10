/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The world for tests itself (world/world.h). */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/random-pool.h"
#include "base/str-util.h"
#include "http/http-client.h"
#include "http/http-server.h"
#include "runtime/connection.h"
#include "runtime/listen.h"
#include "runtime/notify.h"
#include "runtime/timer.h"
#include "runtime/unit-job.h"
#include "runtime/watch.h"
#include "world/world.h"

typedef struct World {
        Loop *loop;
        unsigned n, n_stops, n_reloads;
        int error;
        Connection *connection;
        char text[64];
} World;

static void on_stop(void *userdata)
{
        ((World *) userdata)->n_stops++;
}

static void on_reload(void *userdata)
{
        ((World *) userdata)->n_reloads++;
}

static int setup(void **state)
{
        static World world;

        world_begin();
        world = (World){};
        *state = &world;
        return loop_new(on_stop, &world, &world.loop);
}

static int teardown(void **state)
{
        World *w = *state;

        loop_free(w->loop);
        world_end();
        return 0;
}

static void count(void *userdata)
{
        ((World *) userdata)->n++;
}

static void test_time_jumps(void **state)
{
        World *w = *state;
        uint64_t begin = now_usec(CLOCK_BOOTTIME), real = now_usec(CLOCK_REALTIME);
        Timer t;

        assert_int_equal(timer_init(&t, w->loop, "t", count, w), 0);
        (void) timer_arm_in(&t, 5 * USEC_PER_SEC);
        world_settle();
        assert_int_equal(now_usec(CLOCK_BOOTTIME), begin);
        world_advance(4 * USEC_PER_SEC);
        assert_int_equal(w->n, 0);
        assert_true(timer_is_armed(&t));
        assert_true(world_next());
        assert_int_equal(w->n, 1);
        assert_false(timer_is_armed(&t));
        assert_int_equal(now_usec(CLOCK_BOOTTIME), begin + 5 * USEC_PER_SEC);
        assert_int_equal(now_usec(CLOCK_REALTIME), real + 5 * USEC_PER_SEC);
        assert_false(world_next());
        timer_clear(&t);
}

static void test_sleep_makes_timers_late(void **state)
{
        World *w = *state;
        Timer t;

        assert_int_equal(timer_init(&t, w->loop, "t", count, w), 0);
        (void) timer_arm_in(&t, USEC_PER_SEC);
        world_sleep(10 * USEC_PER_SEC);
        assert_int_equal(timer_late(&t), 9 * USEC_PER_SEC);
        world_settle();
        assert_int_equal(w->n, 1);
        timer_clear(&t);
}

static void test_signals_and_exit(void **state)
{
        World *w = *state;
        int code = -1;

        loop_set_reload(w->loop, on_reload, w);
        world_signal(w->loop, SIGHUP);
        world_signal(w->loop, SIGTERM);
        assert_int_equal(w->n_reloads, 1);
        assert_int_equal(w->n_stops, 1);
        assert_false(world_has_exited(w->loop, NULL));
        world_signal(w->loop, SIGTERM);
        assert_true(world_has_exited(w->loop, &code));
        assert_int_equal(code, EXIT_FAILURE);
}

static void test_deferred_work(void **state)
{
        World *w = *state;
        LoopWork work = {.run = count, .userdata = w};

        loop_defer(w->loop, &work);
        loop_defer(w->loop, &work);
        world_settle();
        assert_int_equal(w->n, 1);
        loop_defer(w->loop, &work);
        loop_cancel(w->loop, &work);
        world_settle();
        assert_int_equal(w->n, 1);
}

static void test_random_numbers_repeat(void **state)
{
        uint64_t first = random_u64(), second = random_u64();

        assert_true(first != second);
        world_seed(1);
        assert_true(random_u64() == first);
        world_seed(2);
        assert_true(random_u64() != first);
}

/* Connections. */

static void on_connected(Connection *c, void *userdata)
{
        (void) !buffer_append(connection_output(c), "hello", 5);
        connection_flush(c);
}

static void on_readable(Connection *c, void *userdata)
{
        World *w = userdata;
        Buffer *b = connection_input(c);

        str_copy(w->text, MIN(sizeof w->text, buffer_size(b) + 1), (const char *) buffer_peek(b));
        buffer_consume(b, buffer_size(b));
}

static void on_ended(Connection *c, int error, void *userdata)
{
        World *w = userdata;

        w->n++;
        w->error = error;
        w->connection = connection_free(c);
}

static const ConnectionCallbacks callbacks = {
                .connected = on_connected, .readable = on_readable, .ended = on_ended};

static void open_connection(World *w, const char *text)
{
        Address a;

        assert_int_equal(address_parse(text, &a, NULL), 0);
        assert_int_equal(connection_open(w->loop, &a, USEC_PER_SEC, &callbacks, w, &w->connection), 0);
}

static void test_outgoing_connection(void **state)
{
        World *w = *state;

        open_connection(w, "unix:/there");
        world_settle();
        assert_null(world_accept("unix:/elsewhere"));
        assert_int_equal(world_n_connecting("unix:/there"), 1);
        TestSocket *s = world_accept("unix:/there");
        assert_non_null(s);
        world_settle();
        assert_int_equal(buffer_size(world_received(s)), 5);
        assert_memory_equal(buffer_peek(world_received(s)), "hello", 5);
        world_send(s, "hi", 2);
        world_settle();
        assert_string_equal(w->text, "hi");
        world_close(s, 0);
        world_settle();
        assert_int_equal(w->n, 1);
        assert_int_equal(w->error, 0);
}

static void test_refused_and_broken(void **state)
{
        World *w = *state;

        world_refuse("tcp:host:1", -ECONNREFUSED);
        open_connection(w, "tcp:host:1");
        assert_int_equal(w->n, 0); /* not from inside of the call */
        world_settle();
        assert_int_equal(w->error, -ECONNREFUSED);
        world_refuse("tcp:host:1", 0);
        open_connection(w, "tcp:host:1");
        TestSocket *s = world_accept("tcp:host:1");
        world_settle();
        world_close(s, -ECONNRESET);
        world_settle();
        assert_int_equal(w->error, -ECONNRESET);
}

static void test_stalled_output_waits(void **state)
{
        World *w = *state;

        open_connection(w, "unix:/there");
        TestSocket *s = world_accept("unix:/there");
        world_stall(s, true);
        world_settle();
        assert_int_equal(connection_output_size(w->connection), 5);
        world_stall(s, false);
        world_settle();
        assert_int_equal(connection_output_size(w->connection), 0);
        assert_false(world_is_closed(s));
        w->connection = connection_free(w->connection);
        assert_true(world_is_closed(s));
}

static ListenerSet set;

static void on_listener(uint32_t events, void *userdata)
{
        World *w = userdata;
        int fd = listener_accept(set.listeners);

        assert_true(fd >= 0);
        assert_int_equal(connection_new(w->loop, fd, &callbacks, w, &w->connection), 0);
}

static void test_listener(void **state)
{
        World *w = *state;
        Address a;
        Watch watch;

        assert_null(world_connect("unix:/here"));
        assert_int_equal(address_parse("unix:/here", &a, NULL), 0);
        assert_int_equal(listeners_bind(&set, &a, 0600, NULL), 0);
        assert_int_equal(listeners_bind(&set, &a, 0600, NULL), -EADDRINUSE);
        assert_int_equal(watch_start(&watch, w->loop, set.listeners[0].fd, EPOLLIN, on_listener, w), 0);
        TestSocket *s = world_connect("unix:/here");
        assert_non_null(s);
        world_settle();
        assert_non_null(w->connection);
        world_send(s, "one", 3);
        world_shutdown(s);
        world_settle();
        assert_string_equal(w->text, "one");
        assert_int_equal(w->n, 1);
        watch_stop(&watch);
        listeners_clear(&set);
}

/* HTTP. */

static void on_hello(HttpExchange *x, void *userdata)
{
        World *w = userdata;
        size_t n;
        const char *body = http_body(x, &n);

        w->n++;
        http_reply(x, 200,
                        str_format("[\"%s\",\"%s\",\"%s\",\"%s\"]", http_argument(x),
                                        http_query(x, "q") ?: "-", http_bearer(x) ?: "-", body));
}

static HttpExchange *later;

static void on_later(HttpExchange *x, void *userdata)
{
        later = x;
}

static const HttpRoute routes[] = {{"POST", "/hello/*", 10, on_hello}, {"GET", "/later", 0, on_later}};

static void on_done(int status, const char *body, size_t size, const char *local_ip, const Error *error,
                void *userdata)
{
        World *w = userdata;

        w->n++;
        w->error = status;
        str_copy(w->text, sizeof w->text, status < 0 ? error->text : body);
}

static HttpServer *serve(World *w, Address *ret)
{
        const HttpService service = {
                        .routes = routes, .n_routes = ELEMENTSOF(routes), .userdata = w, .local = true};
        HttpServer *server;

        assert_int_equal(address_parse("unix:/http", ret, NULL), 0);
        assert_int_equal(listeners_bind(&set, ret, 0600, NULL), 0);
        assert_int_equal(http_server_new(w->loop, set.listeners[0].fd, &service, &server), 0);
        return server;
}

static void test_http_from_the_test(void **state)
{
        World *w = *state;
        Address a;
        HttpServer *server = serve(w, &a);

        assert_null(world_http("unix:/nobody", "GET", "/", NULL, NULL));
        TestExchange *x = world_http("unix:/http", "POST", "/hello/a?q=x%20y", "t", "body");
        world_settle();
        assert_int_equal(x->status, 200);
        assert_string_equal(x->body, "[\"a\",\"x y\",\"t\",\"body\"]");
        assert_string_equal(world_header(x, "content-type"), "application/json");
        x = world_http("unix:/http", "GET", "/hello/a", NULL, NULL);
        TestExchange *none = world_http("unix:/http", "GET", "/none", NULL, NULL);
        TestExchange *large = world_http("unix:/http", "POST", "/hello/a", NULL, "more than ten bytes");
        world_settle();
        assert_int_equal(x->status, 405);
        assert_string_equal(world_header(x, "Allow"), "POST");
        assert_int_equal(none->status, 404);
        assert_int_equal(large->status, 413);
        http_server_free(server);
        listeners_clear(&set);
}

static const HttpCall call = {.method = "GET", .path = "/later", .timeout_usec = USEC_PER_SEC};

static void test_http_inside(void **state)
{
        World *w = *state;
        HttpClient *client = NULL;
        Address a;
        HttpServer *server = serve(w, &a);

        assert_int_equal(http_client_new(w->loop, &client), 0);
        assert_int_equal(http_client_request(client, &a, &call, on_done, w, NULL), 0);
        world_settle();
        assert_int_equal(w->n, 0);
        http_reply(later, 204, NULL);
        world_settle();
        assert_int_equal(w->error, 204);
        assert_int_equal(http_client_request(client, &a, &call, on_done, w, NULL), 0);
        world_advance(2 * USEC_PER_SEC);
        assert_int_equal(w->error, -ETIMEDOUT);
        http_server_free(server); /* answers what is left */
        listeners_clear(&set);
        assert_int_equal(http_client_request(client, &a, &call, on_done, w, NULL), 0);
        world_settle();
        assert_int_equal(w->error, -ECONNREFUSED);
        http_client_free(client);
}

static void test_http_answered_by_the_test(void **state)
{
        World *w = *state;
        HttpClient *client = NULL;
        Address a;

        assert_int_equal(http_client_new(w->loop, &client), 0);
        assert_int_equal(address_parse("unix:/other", &a, NULL), 0);
        assert_null(world_request(""));
        assert_int_equal(http_client_request(client, &a, &call, on_done, w, NULL), 0);
        TestRequest *q = world_request("/lat");
        assert_non_null(q);
        assert_string_equal(q->server, "unix:/other");
        world_answer(q, 200, "{}");
        world_settle();
        assert_int_equal(w->error, 200);
        assert_string_equal(w->text, "{}");
        assert_int_equal(http_client_request(client, &a, &call, on_done, w, NULL), 0);
        world_answer(world_request(""), -ECONNREFUSED, NULL);
        world_settle();
        assert_int_equal(w->error, -ECONNREFUSED);
        http_client_free(client);
}

/* Children. */

static void on_line(const char *line, void *userdata)
{
        str_copy(((World *) userdata)->text, 64, line);
}

static void on_child(const ChildResult *result, void *userdata)
{
        World *w = userdata;

        w->n++;
        w->error = result->timed_out           ? -ETIMEDOUT
                   : WIFEXITED(result->status) ? WEXITSTATUS(result->status)
                                               : -WTERMSIG(result->status);
        str_copy(w->text, MIN(sizeof w->text, result->output_size + 1), (const char *) result->output);
}

static void test_children(void **state)
{
        World *w = *state;
        char *arguments[] = {(char *) "run", NULL}, *environment[] = {(char *) "A=b", NULL};
        const ChildSpec spec = {
                        .path = "/fake/run",
                        .arguments = arguments,
                        .environment = environment,
                        .input = "in",
                        .input_size = 2,
                        .output_max = 3,
                        .timeout_usec = USEC_PER_SEC,
                        .report = on_line,
        };
        Child *c;

        assert_int_equal(child_spawn(w->loop, &spec, on_child, w, &c), 0);
        TestChild *f = world_child(0);
        assert_int_equal(world_n_children(), 1);
        assert_string_equal(f->input, "in");
        assert_string_equal(world_environment(f, "A"), "b");
        world_report(f, "progress 1");
        assert_string_equal(w->text, "progress 1");
        world_child_end(f, 7, "reply");
        world_settle();
        assert_int_equal(w->error, 7);
        assert_string_equal(w->text, "rep");

        assert_int_equal(child_spawn(w->loop, &spec, on_child, w, &c), 0);
        world_advance(2 * USEC_PER_SEC);
        assert_int_equal(w->error, -ETIMEDOUT);
        assert_int_equal(child_spawn(w->loop, &spec, on_child, w, &c), 0);
        child_kill(c);
        world_settle();
        assert_int_equal(w->error, -SIGKILL);
        world_spawn_error(-EAGAIN);
        assert_int_equal(child_spawn(w->loop, &spec, on_child, w, &c), -EAGAIN);
        _cleanup_free_ char *path = NULL;
        assert_int_equal(child_find_program("missing-one", &path), -ENOENT);
        assert_int_equal(child_find_program("true", &path), 0);
        assert_string_equal(path, "/fake/true");
}

static void on_unit_job(bool restarting, void *userdata)
{
        ((World *) userdata)->error = restarting;
}

static void test_service_manager(void **state)
{
        World *w = *state;
        UnitJob *j = NULL;

        world_restarting(true);
        assert_int_equal(unit_job_ask(w->loop, on_unit_job, w, &j), 0);
        world_settle();
        assert_true(w->error);
        unit_job_free(j);
        notify_ready();
        notify_status("at %d", 5);
        assert_string_equal(world_status(), "at 5");
        assert_int_equal(world_n_ready(), 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_time_jumps, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_sleep_makes_timers_late, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_signals_and_exit, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_deferred_work, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_random_numbers_repeat, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_outgoing_connection, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_refused_and_broken, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_stalled_output_waits, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_listener, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_http_from_the_test, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_http_inside, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_http_answered_by_the_test, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_children, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_service_manager, setup, teardown),
        };

        return cmocka_run_group_tests_name("world", tests, NULL, NULL);
}
