/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may change something, on the system bus. */

#include "bus-fixture.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/str-util.h"

static int new_fixture(void **state)
{
        Fixture *f = fixture_new(true);

        f->uid = geteuid() + 4711;
        f->gid = getegid() + 4711;
        *state = f;
        return 0;
}

static int free_fixture(void **state)
{
        fixture_free(*state);
        return 0;
}

static void send_one(Fixture *f)
{
        sd_bus_message_unref(CALL(f, "SendText", "sssa{sv}", "any", "jobs", "x", 0));
}

#define SEND_FAILS(f, name, text) FAILS(f, name, text, "SendText", "sssa{sv}", "any", "jobs", "x", 0)

static void test_own_user_is_trusted(void **state)
{
        Fixture *f = *state;

        f->uid = geteuid();
        send_one(f);
        send_one(f);
        assert_int_equal(f->n_asked, 1); /* the connection is known from then on */
        assert_int_equal(f->n_polkit, 0);
        f->sender = ":1.8";
        f->uid = 0;
        send_one(f);
        assert_int_equal(f->n_asked, 2);
        assert_int_equal(f->n_polkit, 0);
}

/* Only so many connections are remembered. */
static void test_trust_is_bounded(void **state)
{
        Fixture *f = *state;

        f->uid = 0;
        for (unsigned i = 0; i < TRUSTED_MAX + 1; i++) {
                _cleanup_free_ char *name = str_format(":1.%u", 100 + i);
                f->sender = name;
                send_one(f);
                f->sender = CALLER;
        }
        f->sender = ":1.101";
        send_one(f);
        assert_int_equal(f->n_asked, TRUSTED_MAX + 1);
        f->sender = ":1.100";
        send_one(f);
        assert_int_equal(f->n_asked, TRUSTED_MAX + 2);
}

static void test_polkit_decides(void **state)
{
        Fixture *f = *state;

        f->polkit_allows = true;
        send_one(f);
        assert_int_equal(f->n_polkit, 1);
        assert_false(f->was_interactive);
        send_one(f);
        assert_int_equal(f->n_polkit, 2); /* asked each time */

        f->polkit_allows = false;
        SEND_FAILS(f, SD_BUS_ERROR_ACCESS_DENIED, "org.ackgroup.client1.send");
        f->polkit_could_ask = true;
        SEND_FAILS(f, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, "org.ackgroup.client1.send");
        assert_property(f, BUS_PATH, MANAGER_INTERFACE, "OutboxLimit", "1000000");
}

static void test_each_method_has_its_action(void **state)
{
        Fixture *f = *state;
        const char id[] = "00000000";

        FAILS(f, SD_BUS_ERROR_ACCESS_DENIED, "client1.send", "Send", "ssaya{sv}", "any", "jobs", 1, 1, 0);
        FAILS(f, SD_BUS_ERROR_ACCESS_DENIED, "client1.send", "OpenStream", "a{sv}", 0);
        FAILS(f, SD_BUS_ERROR_ACCESS_DENIED, "client1.manage", "Cancel", "s", id);
        FAILS(f, SD_BUS_ERROR_ACCESS_DENIED, "client1.manage", "Retry", "s", id);
        FAILS(f, SD_BUS_ERROR_ACCESS_DENIED, "client1.manage", "Drain", "sb", RECEIVER, 1);
        FAILS(f, SD_BUS_ERROR_ACCESS_DENIED, "client1.purge", "Purge", "s", id);
        assert_int_equal(f->n_polkit, 6);

        /* Everybody may look. */
        sd_bus_message_unref(CALL(f, "ListMessages", "a{sv}", 0));
        FAILS(f, "NoSuchMessage", "", "Wait", "st", id, UINT64_C(0));
        FAILS(f, "NoSuchMessage", "", "Explain", "s", id);
        assert_int_equal(f->n_polkit, 6);
}

static void test_interactive(void **state)
{
        Fixture *f = *state;
        sd_bus_message *m = NULL;
        Answer a;

        f->polkit_allows = true;
        assert_true(sd_bus_message_new_method_call(
                                    f->caller, &m, BUS_NAME, BUS_PATH, MANAGER_INTERFACE, "SendText") >= 0);
        assert_true(sd_bus_message_append(m, "sssa{sv}", "any", "jobs", "x", 0) >= 0);
        assert_true(sd_bus_message_set_allow_interactive_authorization(m, 1) >= 0);
        start_message(f, &a, m);
        sd_bus_message_unref(finish(f, &a));
        assert_true(f->was_interactive);
}

static void test_without_polkit(void **state)
{
        Fixture *f = *state;
        const char *absent[] = {SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                        "org.freedesktop.systemd1.NoSuchUnit", "org.freedesktop.systemd1.UnitMasked"};

        for (size_t i = 0; i < ELEMENTSOF(absent); i++) {
                f->polkit_error = absent[i];
                f->gid = getegid() + 4711;
                SEND_FAILS(f, SD_BUS_ERROR_ACCESS_DENIED, "client1.send");
                f->gid = getegid();
                send_one(f);
        }
        /* It is there and does not answer: being in the group is not enough. */
        f->polkit_error = SD_BUS_ERROR_NO_REPLY;
        SEND_FAILS(f, "Authorization", "polkit does not answer: no answer");
}

static void test_caller_has_gone(void **state)
{
        Fixture *f = *state;

        f->no_credentials = true;
        SEND_FAILS(f, SD_BUS_ERROR_ACCESS_DENIED, "client1.send");
        assert_int_equal(f->n_polkit, 0);
}

static void test_too_many_wait(void **state)
{
        enum { N = 65 };
        Fixture *f = *state;
        Answer calls[N];

        f->hold_credentials = true;
        for (unsigned i = 0; i < N; i++)
                start_call(f, calls + i, "SendText", "sssa{sv}", "any", "jobs", "x", 0);
        finish_failed(f, calls + N - 1, SD_BUS_ERROR_LIMITS_EXCEEDED, "wait for an authorization");
        assert_int_equal(f->bus.guard.n_waiting, N - 1);
        fixture_stop(f);
        for (unsigned i = 0; i < N - 1; i++)
                finish_failed(f, calls + i, "Disconnected", "The client stops");
}

static void start_object_cancel(Fixture *f, Answer *a, const char *path)
{
        start_object_call(f, a, path, MESSAGE_INTERFACE, "Cancel", NULL);
}

static void test_object_cancel(void **state)
{
        Fixture *f = *state;
        Answer a;

        f->polkit_allows = true;
        _cleanup_free_ char *id = send_text(f, "any", "nobody", "x"), *path = path_of(f, id);

        f->polkit_allows = false;
        start_object_cancel(f, &a, path);
        finish_failed(f, &a, SD_BUS_ERROR_ACCESS_DENIED, "client1.manage");
        f->polkit_allows = true;
        start_object_cancel(f, &a, path);
        sd_bus_message_unref(finish(f, &a));
        assert_end(f, id, "cancelled");
        start_object_cancel(f, &a, path);
        finish_failed(f, &a, "AlreadySettled", "");
}

/* The message is gone when the authorization comes. */
static void test_object_leaves_meanwhile(void **state)
{
        Fixture *f = *state;
        Answer cancel, purge;

        f->polkit_allows = true;
        _cleanup_free_ char *id = send_text(f, "any", "nobody", "x"), *path = path_of(f, id);
        sd_bus_message_unref(CALL(f, "Cancel", "s", id));
        assert_end(f, id, "cancelled");

        f->hold_polkit = true;
        start_object_cancel(f, &cancel, path);
        UNTIL(f, f->held);
        f->hold_polkit = false;
        start_call(f, &purge, "Purge", "s", id);
        sd_bus_message_unref(finish(f, &purge));
        release_polkit(f);
        finish_failed(f, &cancel, "NoSuchMessage", "The message is at its end");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, new_fixture, free_fixture)

int main(void)
{
        const struct CMUnitTest tests[] = {
                        TEST(test_own_user_is_trusted),
                        TEST(test_trust_is_bounded),
                        TEST(test_polkit_decides),
                        TEST(test_each_method_has_its_action),
                        TEST(test_interactive),
                        TEST(test_without_polkit),
                        TEST(test_caller_has_gone),
                        TEST(test_too_many_wait),
                        TEST(test_object_cancel),
                        TEST(test_object_leaves_meanwhile),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
