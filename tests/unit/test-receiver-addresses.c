/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a receiver says that it can be reached. */

#include <sysexits.h>

#include "receiver-fixture.h"

#define REGISTER "/v1/receivers"
#define BEAT     "/v1/receivers/" RECEIVER_TEXT_ID "/heartbeat"

static void answer(TestRequest *q, int status, const char *body)
{
        world_answer(q, status, body);
        world_settle();
}

static void test_wildcard(void **state)
{
        Fixture *f = *state;

        f->config.allow_insecure = true;
        assert_int_equal(strv_append(&f->config.listen, "tcp:0.0.0.0:7481"), 0);
        free(f->config.discovery);
        f->config.discovery = strdup("http://127.0.0.1:7480");
        assert_int_equal(fixture_new(f), 0);
        answer(asked("GET", "/v1/status"), 200, "{\"lease_seconds\":5}");
        const char *body = asked("POST", REGISTER)->body;
        assert_non_null(strstr(body, "unix:/r.sock"));
        assert_non_null(strstr(body, "tcp:127.0.0.1:7481"));
        assert_null(strstr(body, "0.0.0.0"));
}

/* DHCP gave the host another address. */
static void test_the_address_changes(void **state)
{
        Fixture *f = *state;

        f->config.allow_insecure = true;
        assert_int_equal(strv_append(&f->config.listen, "tcp:0.0.0.0:7481"), 0);
        assert_int_equal(str_replace(&f->config.discovery, "http://192.0.2.1:7480"), 0);
        world_local_ip("192.0.2.7");
        assert_int_equal(fixture_new(f), 0);
        answer(asked("GET", "/v1/status"), 200, "{\"lease_seconds\":30}");
        assert_non_null(strstr(asked("POST", REGISTER)->body, "tcp:192.0.2.7:7481"));
        fixture_register(RECEIVER_TEXT_ID, 30);
        world_advance(10 * USEC_PER_SEC);
        world_local_ip("192.0.2.8");
        answer(asked("POST", BEAT), 200, "{\"lease_seconds\":30}");
        const char *body = asked("POST", REGISTER)->body;
        assert_non_null(strstr(body, "tcp:192.0.2.8:7481"));
        assert_null(strstr(body, "192.0.2.7"));
        fixture_register(RECEIVER_TEXT_ID, 30);
        world_advance(10 * USEC_PER_SEC);
        world_local_ip("2001:db8::7"); /* the name of discovery has an address of IPv6, too */
        answer(asked("POST", BEAT), 200, "{\"lease_seconds\":30}");
        world_advance(10 * USEC_PER_SEC);
        (void) asked("POST", BEAT);
}

/* A socket of IPv4 is not advertised at an address of IPv6. */
static void test_the_family_of_the_listener(void **state)
{
        static const struct {
                const char *listen, *local_ip, *advertised;
        } rows[] = {
                        {"tcp:0.0.0.0:7481", "::1", "tcp:127.0.0.1:7481"},
                        {"tcp:0.0.0.0:7481", "2001:db8::7", NULL},
                        {"tcp:0.0.0.0:7481", "192.0.2.7", "tcp:192.0.2.7:7481"},
                        {"tcp:[::]:7481", "::1", "tcp:[::1]:7481"},
                        {"tcp:[::]:7481", "2001:db8::7", "tcp:[2001:db8::7]:7481"},
                        {"tcp:[::]:7481", "192.0.2.7", "tcp:192.0.2.7:7481"},
        };
        Fixture *f = *state;

        f->config.allow_insecure = true;
        assert_int_equal(str_replace(&f->config.discovery, "http://192.0.2.1:7480"), 0);
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                f->config.listen = strv_free(f->config.listen);
                assert_int_equal(strv_append(&f->config.listen, RECEIVER_ADDRESS), 0);
                assert_int_equal(strv_append(&f->config.listen, rows[i].listen), 0);
                world_local_ip(rows[i].local_ip);
                assert_int_equal(fixture_new(f), 0);
                answer(asked("GET", "/v1/status"), 200, "{\"lease_seconds\":5}");
                const char *body = asked("POST", REGISTER)->body;
                assert_int_equal(strstr(body, "tcp:") != NULL, rows[i].advertised != NULL);
                if (rows[i].advertised)
                        assert_non_null(strstr(body, rows[i].advertised));
                fixture_end(f);
        }
}

/* Somebody cleans up /run. */
static void test_the_socket_file_is_deleted(void **state)
{
        Fixture *f = *state;

        fixture_start(f);
        world_remove_file(RECEIVER_ADDRESS);
        assert_false(world_has_file(RECEIVER_ADDRESS));
        world_advance(10 * USEC_PER_SEC);
        assert_true(world_has_file(RECEIVER_ADDRESS));
        assert_non_null(sender_open());
}

static void test_advertise(void **state)
{
        Fixture *f = *state;

        assert_int_equal(strv_append(&f->config.advertise, "tcp:192.0.2.7:99"), 0);
        assert_int_equal(fixture_new(f), 0);
        const char *body = asked("POST", REGISTER)->body;
        assert_non_null(strstr(body, "tcp:192.0.2.7:99"));
        assert_null(strstr(body, "unix:"));
}

static void test_no_address(void **state)
{
        Fixture *f = *state;
        int code = -1;

        f->config.allow_insecure = true;
        f->config.listen = strv_free(f->config.listen);
        assert_int_equal(strv_append(&f->config.listen, "tcp:0.0.0.0:7481"), 0);
        assert_int_equal(fixture_new(f), 0);
        answer(asked("GET", "/v1/status"), 200, "{\"lease_seconds\":5}"); /* over a Unix socket */
        assert_true(world_has_exited(f->receiver->loop, &code));
        assert_int_equal(code, EX_CONFIG);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                        TEST(test_wildcard),
                        TEST(test_the_address_changes),
                        TEST(test_the_family_of_the_listener),
                        TEST(test_the_socket_file_is_deleted),
                        TEST(test_advertise),
                        TEST(test_no_address),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
