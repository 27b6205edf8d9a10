/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What /v1 and the seed API answer. */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "discovery-fixture.h"

static void test_register(void **state)
{
        Receiver a = join_with("a", 1, ",\"group\":\"g\",\"labels\":{\"zone\":\"x\"},\"capacity\":4");

        assert_int_equal(strlen(a.id), 36);
        assert_int_equal(strlen(a.token), 32);
        assert_true(number("lease_seconds") == 30);
        assert_true(field("revision")[0]);
        assert_int_equal(ask_of("GET", &a, "", NULL, NULL), 200);
        assert_string_equal(field("group"), "g");
        assert_true(number("capacity") == 4);
        assert_true(number("expires_in_ms") == 30000);
        assert_false(has("token"));
        assert_false(has("draining"));

        Receiver b = join("b", NULL);
        assert_string_not_equal(a.id, b.id);
        assert_string_not_equal(a.token, b.token);
        get("/v1/receivers");
        assert_string_equal(names(), "a b");
}

static void test_register_refused(void **state)
{
        static const struct {
                const char *body, *field;
        } bad[] = {
                        {"{\"instance\":\"00000000-0000-4000-8000-000000000001\",\"addresses\":[\"unix:/"
                         "x\"]}",
                                        "name"},
                        {"{\"name\":\"a\",\"addresses\":[\"unix:/x\"]}", "instance"},
                        {"{\"name\":\"a\",\"instance\":\"00000000-0000-4000-8000-000000000001\"}",
                                        "addresses"},
                        {"{\"name\":\"a\",\"instance\":\"00000000-0000-4000-8000-000000000001\","
                         "\"addresses\":"
                         "[\"unix:/x\"],\"previous_instance\":\"x\"}",
                                        "previous_instance"},
        };

        assert_int_equal(ask("POST", "/v1/receivers", NULL, "{"), 400);
        assert_string_equal(code(), "malformed");
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                assert_int_equal(ask("POST", "/v1/receivers", NULL, bad[i].body), 400);
                assert_string_equal(code(), "invalid");
                assert_string_equal(wrong_field(), bad[i].field);
        }
        assert_int_equal(ask("PUT", "/v1/receivers", NULL, "{}"), 405);
        assert_int_equal(get("/v1/nothing"), 404);
        assert_int_equal(get("/v1/receivers/x"), 404);
        assert_string_equal(code(), "unknown");
        assert_true(number("receivers") < 0);
        assert_int_equal(get("/v1/status"), 200);
        assert_true(number("receivers") == 0);
}

static void test_tokens(void **state)
{
        Receiver a = join("a", NULL), b = join("b", NULL);

        assert_int_equal(heartbeat(&a), 200);
        assert_int_equal(ask_of("POST", &a, "/heartbeat", NULL, NULL), 401);
        assert_string_equal(code(), "token-missing");
        assert_int_equal(ask_of("POST", &a, "/heartbeat", "x", NULL), 403);
        assert_string_equal(code(), "token-wrong");
        assert_int_equal(ask_of("POST", &a, "/heartbeat", b.token, NULL), 403);
        assert_int_equal(ask_of("DELETE", &a, "", NULL, NULL), 401);
        assert_int_equal(ask_of("DELETE", &a, "", b.token, NULL), 403);
        assert_int_equal(again(&a, NULL, 1, ""), 401);
        assert_int_equal(again(&a, "x", 1, ""), 403);
        assert_int_equal(again(&a, a.token, 1, ""), 200);
        assert_string_equal(field("token"), a.token);
        leave(&a);
        assert_int_equal(heartbeat(&a), 404);
        assert_int_equal(ask_of("DELETE", &a, "", a.token, NULL), 404);
        assert_int_equal(ask_of("GET", &a, "", NULL, NULL), 404);
}

static void test_identity(void **state)
{
        Receiver a = join("a", NULL), unknown = {.id = "00000000-0000-4000-8000-0000000000ff", .name = "c"};
        char previous[128];

        /* A copy of the state while the holder is alive. */
        world_advance(2 * USEC_PER_SEC);
        assert_int_equal(again(&a, a.token, 2, ""), 409);
        assert_string_equal(code(), "id-alive");
        assert_true(error_of("heard_ms_ago")->valueint == 2000);
        /* The successor knows that the holder is dead. */
        (void) snprintf(previous, sizeof previous, ",\"previous_instance\":\"" INSTANCE "\"", 7u);
        assert_int_equal(again(&a, a.token, 2, previous), 409);
        (void) snprintf(previous, sizeof previous, ",\"previous_instance\":\"" INSTANCE "\"", 1u);
        assert_int_equal(again(&a, a.token, 2, previous), 200);
        assert_string_equal(field("id"), a.id);
        assert_string_equal(field("token"), a.token);

        assert_int_equal(ask("POST", "/v1/receivers", NULL,
                                         "{\"name\":\"a\",\"instance\":\"00000000-0000-4000-8000-"
                                         "000000000009\","
                                         "\"addresses\":[\"unix:/x\"]}"),
                        409);
        assert_string_equal(code(), "name-taken");
        /* Its own name is no obstacle, and an unknown id is taken over. */
        assert_int_equal(again(&a, a.token, 2, ",\"group\":\"h\""), 200);
        assert_int_equal(again(&unknown, NULL, 3, ""), 201);
        assert_string_equal(field("id"), unknown.id);
        /* A name of another is refused for a known id, too. */
        (void) snprintf(unknown.token, sizeof unknown.token, "%s", field("token"));
        (void) snprintf(unknown.name, sizeof unknown.name, "a");
        assert_int_equal(again(&unknown, unknown.token, 3, ""), 409);
}

static void test_tcp(void **state)
{
        Receiver a = join("a", NULL);
        char target[128];

        (void) snprintf(target, sizeof target, "/v1/receivers/%s/heartbeat", a.id);
        assert_int_equal(ask_tcp("GET", "/v1/receivers", NULL, NULL), 200);
        assert_int_equal(ask_tcp("POST", "/v1/receivers", NULL, "{}"), 403);
        assert_string_equal(code(), "transport");
        assert_int_equal(ask_tcp("POST", target, a.token, NULL), 403);
        (void) snprintf(target, sizeof target, "/v1/receivers/%s", a.id);
        assert_int_equal(ask_tcp("DELETE", target, a.token, NULL), 403);
        (void) snprintf(target, sizeof target, "/v1/receivers/%s/draining", a.id);
        assert_int_equal(ask_tcp("PUT", target, NULL, "{\"draining\":true}"), 403);
        discovery_reload(d, &(DiscoveryConfig){.lease_usec = LEASE_DEFAULT_USEC, .allow_tcp = true});
        assert_int_equal(ask_tcp("PUT", target, NULL, "{\"draining\":true}"), 204);
        assert_int_equal(ask_tcp("POST", "/v1/receivers", NULL, "{}"), 400);
}

static void test_draining(void **state)
{
        Receiver a = join("a", NULL);

        assert_int_equal(heartbeat(&a), 200);
        assert_string_equal(answer.text, "{\"lease_seconds\":30,\"draining\":false}");
        drain(&a, true);
        assert_int_equal(heartbeat(&a), 200);
        assert_string_equal(answer.text, "{\"lease_seconds\":30,\"draining\":true}");
        get("/v1/receivers");
        assert_non_null(strstr(answer.text, "\"draining\":true"));
        /* Its own registration does not end that, its restart does. */
        assert_int_equal(again(&a, a.token, 1, ""), 200);
        assert_int_equal(heartbeat(&a), 200);
        assert_non_null(strstr(answer.text, "true"));
        assert_int_equal(again(&a, a.token, 2,
                                         ",\"previous_instance\":\"00000000-0000-4000-8000-000000000001\""),
                        200);
        assert_int_equal(heartbeat(&a), 200);
        assert_non_null(strstr(answer.text, "false"));

        assert_int_equal(ask_of("PUT", &a, "/draining", NULL, "{}"), 400);
        assert_string_equal(wrong_field(), "draining");
        assert_int_equal(ask_of("PUT", &a, "/draining", NULL, "x"), 400);
        assert_int_equal(ask("PUT", "/v1/receivers/x/draining", NULL, "{\"draining\":true}"), 404);
}

static void test_reload(void **state)
{
        Receiver a = join("a", NULL);
        char revision[REVISION_MAX];

        assert_int_equal(heartbeat(&a), 200);
        discovery_reload(d, &(DiscoveryConfig){.lease_usec = 5500 * USEC_PER_MSEC});
        assert_int_equal(heartbeat(&a), 200);
        assert_string_equal(answer.text, "{\"lease_seconds\":5.5,\"draining\":false}");
        get("/v1/status");
        assert_true(number("lease_seconds") == 5.5);
        assert_true(cJSON_IsTrue(cJSON_GetObjectItem(answer.json, "seed_api")));
        (void) snprintf(revision, sizeof revision, "%s", field("revision"));
        assert_string_equal(revision, revision_of("/v1/receivers"));
}

static void test_seed(void **state)
{
        char id[40], body[128];
        int i = 0;
        const cJSON *one;

        assert_int_equal(ask("POST", "/register", NULL, "{\"host\":\"127.0.0.1\",\"port\":\"80\"}"), 201);
        assert_string_equal(field("message"), "registered");
        (void) snprintf(id, sizeof id, "%s", field("id"));
        assert_int_equal(ask_tcp("POST", "/register", NULL, "{\"host\":\"::1\",\"port\":81}"), 201);
        join_with("a", 1, ",\"addresses\":[\"unix:/x\",\"tcp:h:9\"]");
        (void) join("without", NULL);

        world_advance(20 * USEC_PER_SEC);
        (void) snprintf(body, sizeof body, "{\"id\":\"%s\"}", id);
        assert_int_equal(ask("POST", "/heartbeat", NULL, body), 200);
        assert_int_equal(ask("GET", "/receivers", NULL, NULL), 200);
        cJSON_ArrayForEach(one, answer.json) {
                assert_true(cJSON_GetObjectItem(one, "last_seen")->valuedouble > 1.7e9);
                assert_int_equal(cJSON_GetObjectItem(one, "port")->valueint, 80 + i);
                i++;
        }
        assert_true(i == 2 || i == 3);
        get("/v1/receivers");
        assert_non_null(strstr(answer.text, "\"plain\":true"));
        world_advance(11 * USEC_PER_SEC);
        assert_int_equal(ask("POST", "/receivers", NULL, "{}"), 200);
        assert_int_equal(cJSON_GetArraySize(answer.json), 1);
        world_advance(30 * USEC_PER_SEC);
        assert_int_equal(ask("POST", "/heartbeat", NULL, body), 404);
        assert_string_equal(field("message"), "unknown receiver");
}

static void test_seed_refused(void **state)
{
        static const struct {
                const char *body, *field;
        } bad[] = {
                        {"{\"port\":1}", "host"},
                        {"{\"host\":\"\",\"port\":1}", "host"},
                        {"{\"host\":\"a b\",\"port\":1}", "host"},
                        {"{\"host\":\"a\"}", "port"},
                        {"{\"host\":\"a\",\"port\":0}", "port"},
                        {"{\"host\":\"a\",\"port\":\"x\"}", "port"},
        };
        Receiver a = join("a", NULL);
        char body[128];

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                assert_int_equal(ask("POST", "/register", NULL, bad[i].body), 400);
                assert_string_equal(wrong_field(), bad[i].field);
        }
        assert_int_equal(ask("POST", "/register", NULL, "x"), 400);
        assert_int_equal(ask("POST", "/heartbeat", NULL, "x"), 400);
        assert_int_equal(ask("POST", "/heartbeat", NULL, "{}"), 400);
        assert_int_equal(ask("POST", "/heartbeat", NULL, "{\"id\":\"x\"}"), 404);
        /* A receiver of /v1 needs its token. */
        (void) snprintf(body, sizeof body, "{\"id\":\"%s\"}", a.id);
        assert_int_equal(ask("POST", "/heartbeat", NULL, body), 404);

        /* Beyond loopback the rule of /v1 counts. */
        config.allow_insecure = true;
        assert_int_equal(ask_tcp("POST", "/register", NULL, bad[0].body), 403);
        assert_int_equal(ask_tcp("POST", "/heartbeat", NULL, body), 403);
        stop();
        config.seed_api = false;
        start();
        assert_int_equal(ask("POST", "/register", NULL, bad[0].body), 404);
}

static void test_signals(void **state)
{
        int code;

        assert_false(world_has_exited(d->loop, NULL));
        world_signal(d->loop, SIGTERM);
        assert_true(world_has_exited(d->loop, &code));
        assert_int_equal(code, 0);
}

static void test_start_fails(void **state)
{
        ListenerSet other = {};
        Address address;
        Error error = {};

        stop();
        assert_int_equal(address_parse(LOCAL, &address, &error), 0);
        assert_int_equal(listeners_bind(&other, &address, 0600, &error), 0);
        assert_int_equal(discovery_new(&config, &d, &error), -EADDRINUSE);
        assert_null(d);
        listeners_clear(&other);
        fake_disk_reset();
        fake_disk_fail(1, EIO, true);
        assert_true(discovery_new(&config, &d, &error) < 0);
        fake_disk_fail(0, 0, false);
        start();
        assert_int_equal(get("/v1/status"), 200);
}

static void test_out_of_memory(void **state)
{
        Receiver a = join("a", NULL);

        world_fail_answer(1);
        assert_int_equal(heartbeat(&a), 503);
        assert_string_equal(code(), "unavailable");
        assert_int_equal(heartbeat(&a), 200);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        T(test_register),
                        T(test_register_refused),
                        T(test_tokens),
                        T(test_identity),
                        T(test_tcp),
                        T(test_draining),
                        T(test_reload),
                        T(test_seed),
                        T(test_seed_refused),
                        T(test_signals),
                        T(test_start_fails),
                        T(test_out_of_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
