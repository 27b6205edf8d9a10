/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* All of discovery in the world of tests: registrations, leases, lists that are waited for, and the registry
 * on disk. */

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
#include "discovery/discovery.h"
#include "world/disk.h"
#include "world/world.h"

#define SERVER "unix:/discovery.sock"

typedef struct World {
        char *listen[2];
        DiscoveryConfig config;
        Discovery *discovery;
} World;

static void start(World *w)
{
        Error error = {};

        assert_int_equal(discovery_new(&w->config, &w->discovery, &error), 0);
        world_settle();
}

static int setup(void **state)
{
        static World w;

        world_begin();
        w = (World){.listen = {(char *) SERVER, NULL}};
        w.config = (DiscoveryConfig){
                        .listen = w.listen,
                        .lease_usec = 30 * USEC_PER_SEC,
                        .state_directory = (char *) (uintptr_t) world_directory(),
        };
        *state = &w;
        start(&w);
        return 0;
}

static int teardown(void **state)
{
        World *w = *state;

        w->discovery = discovery_free(w->discovery);
        world_end();
        return 0;
}

static TestExchange *ask(const char *method, const char *path, const char *token, const char *body)
{
        TestExchange *x = world_http(SERVER, method, path, token, body);

        assert_non_null(x);
        world_settle();
        return x;
}

/* Of a JSON text with simple strings. */
static void get(const TestExchange *x, const char *name, char ret[static 64])
{
        char pattern[64];

        (void) snprintf(pattern, sizeof pattern, "\"%s\":\"", name);
        const char *at = strstr(x->body, pattern);
        assert_non_null(at);
        at += strlen(pattern);
        str_copy(ret, MIN(strcspn(at, "\"") + 1, 64u), at);
}

static TestExchange *register_one(const char *name)
{
        char body[256];

        (void) snprintf(body, sizeof body,
                        "{\"name\":\"%s\",\"group\":\"g\",\"instance\":\"01234567-89ab-4def-8123-"
                        "456789abcdef\","
                        "\"addresses\":[\"unix:/r.sock\"],\"capacity\":1,\"protocol\":1}",
                        name);
        return ask("POST", "/v1/receivers", NULL, body);
}

static void test_registers_and_forgets_without_heartbeat(void **state)
{
        TestExchange *x = register_one("a");

        assert_int_equal(x->status, 201);
        assert_non_null(strstr(ask("GET", "/v1/receivers", NULL, NULL)->body, "\"name\":\"a\""));
        world_advance(31 * USEC_PER_SEC);
        assert_null(strstr(ask("GET", "/v1/receivers", NULL, NULL)->body, "\"name\":\"a\""));
}

static void test_heartbeat_keeps_it(void **state)
{
        TestExchange *x = register_one("a");
        char id[64], token[64], path[128];

        get(x, "id", id);
        get(x, "token", token);
        (void) snprintf(path, sizeof path, "/v1/receivers/%s/heartbeat", id);
        for (unsigned i = 0; i < 5; i++) {
                world_advance(20 * USEC_PER_SEC);
                assert_int_equal(ask("POST", path, token, NULL)->status, 200);
        }
        assert_int_equal(ask("POST", path, NULL, NULL)->status, 401);
        world_advance(31 * USEC_PER_SEC);
        assert_int_equal(ask("POST", path, token, NULL)->status, 404);
}

static void test_waits_for_a_change(void **state)
{
        char revision[64], path[128];

        get(ask("GET", "/v1/receivers?group=g", NULL, NULL), "revision", revision);
        (void) snprintf(path, sizeof path, "/v1/receivers?group=g&since=%s&wait=30", revision);
        TestExchange *waiting = ask("GET", path, NULL, NULL);
        world_advance(5 * USEC_PER_SEC);
        assert_int_equal(waiting->status, 0);
        (void) register_one("a");
        world_advance(USEC_PER_SEC); /* those who wait are answered a few at a time */
        assert_int_equal(waiting->status, 200);
        assert_non_null(strstr(waiting->body, "\"name\":\"a\""));
}

static void restart(World *w)
{
        world_signal(w->discovery->loop, SIGTERM);
        assert_true(world_has_exited(w->discovery->loop, NULL));
        w->discovery = discovery_free(w->discovery);
        start(w);
}

static void test_remembers_over_a_restart(void **state)
{
        World *w = *state;

        assert_int_equal(register_one("a")->status, 201);
        restart(w);
        assert_non_null(strstr(ask("GET", "/v1/receivers", NULL, NULL)->body, "\"name\":\"a\""));
}

static void register_many(void)
{
        char name[16];

        for (unsigned i = 0; i < 60; i++) {
                (void) snprintf(name, sizeof name, "r%u", i);
                assert_int_equal(register_one(name)->status, 201);
        }
        world_advance(2 * USEC_PER_SEC);
}

/* Of the registry; page 1 names the first one. No start reads it. */
static void damage_unused_page(void)
{
        char path[256];
        uint8_t *content;
        size_t size;

        (void) snprintf(path, sizeof path, "%s/registry.db", world_directory());
        content = fake_disk_content(path, &size);
        assert_non_null(content);
        const size_t page = (size_t) content[34] << 8 | content[35];
        assert_in_range(page, 2, size / 4096);
        content[page * 4096 - 2] ^= 1;
}

/* A damaged page that is met when something is written: the next start must not meet it again. */
static void test_damage_is_set_aside(void **state)
{
        World *w = *state;
        int status = 0;

        register_many();
        world_advance(40 * USEC_PER_SEC);
        world_signal(w->discovery->loop, SIGTERM);
        assert_true(world_has_exited(w->discovery->loop, NULL));
        w->discovery = discovery_free(w->discovery);
        damage_unused_page();
        start(w);
        register_many();
        assert_true(world_has_exited(w->discovery->loop, &status));
        assert_int_equal(status, EXIT_FAILURE);
        w->discovery = discovery_free(w->discovery);
        start(w);
        register_many();
        assert_false(world_has_exited(w->discovery->loop, NULL));
        restart(w);
        assert_non_null(strstr(ask("GET", "/v1/receivers", NULL, NULL)->body, "\"name\":\"r59\""));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(
                                        test_registers_and_forgets_without_heartbeat, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_heartbeat_keeps_it, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_waits_for_a_change, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_damage_is_set_aside, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_remembers_over_a_restart, setup, teardown),
        };

        return cmocka_run_group_tests_name("discovery-daemon", tests, NULL, NULL);
}
