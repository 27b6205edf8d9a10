/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists of receivers. */

#include "bus-fixture.h"

#include <stdlib.h>

#include "base/str-util.h"
#include "base/time-util.h"

static int new_fixture(void **state)
{
        *state = fixture_new(false);
        return 0;
}

static int free_fixture(void **state)
{
        fixture_free(*state);
        return 0;
}

static void done(sd_bus_message *m)
{
        sd_bus_message_unref(m);
}

static unsigned count_receivers(sd_bus_message *m)
{
        unsigned n = 0;

        assert_true(sd_bus_message_enter_container(m, 'a', "(sssa{ss}assub)") > 0);
        while (sd_bus_message_at_end(m, 0) == 0) {
                assert_true(sd_bus_message_skip(m, "(sssa{ss}assub)") > 0);
                n++;
        }
        return n;
}

static void test_list_receivers(void **state)
{
        Fixture *f = *state;
        sd_bus_message *m = CALL(f, "ListReceivers", "a{sv}", 0);
        const char *id, *name, *group, *key, *value, *address;

        assert_true(sd_bus_message_enter_container(m, 'a', "(sssa{ss}assub)") > 0);
        assert_true(sd_bus_message_enter_container(m, 'r', "sssa{ss}assub") > 0);
        assert_true(sd_bus_message_read(m, "sss", &id, &name, &group) > 0);
        assert_string_equal(id, RECEIVER_ID);
        assert_string_equal(name, "1@here");
        assert_string_equal(group, "jobs");
        assert_true(sd_bus_message_read(m, "a{ss}", 1, &key, &value) > 0);
        assert_string_equal(key, "zone");
        assert_string_equal(value, "a");
        assert_true(sd_bus_message_read(m, "as", 1, &address) > 0);
        assert_non_null(str_after_prefix(address, "unix:"));
        done(m);

        m = CALL(f, "ListReceivers", "a{sv}", 0);
        assert_int_equal(count_receivers(m), 3);
        done(m);
        FAILS(f, "InvalidArgument", "not known", "ListReceivers", "a{sv}", 1, "limit", "u", 2);
        m = CALL(f, "ListReceivers", "a{sv}", 1, "group", "s", "idle");
        assert_int_equal(count_receivers(m), 2);
        done(m);
        m = CALL(f, "ListReceivers", "a{sv}", 1, "label", "as", 1, "zone=b");
        assert_int_equal(count_receivers(m), 0);
        done(m);
        FAILS(f, "InvalidArgument", "not known", "ListReceivers", "a{sv}", 1, "colour", "s", "red");
        FAILS(f, "InvalidArgument", "", "ListReceivers", "a{sv}", 1, "label", "as", 1, "nonsense");
        FAILS(f, "InvalidArgument", "group: longer than", "ListReceivers", "a{sv}", 1, "group", "s",
                        "0123456789012345678901234567890123456789012345678901234567890123456789"
                        "0123456789012345678901234567890123456789012345678901234567890123456789"
                        "0123456789012345678901234567890123456789012345678901234567890123456789"
                        "0123456789012345678901234567890123456789012345678901234567890123456789");
}

/* The names on one page, and what comes next: "a b, b". */
static void assert_page(sd_bus_message *m, const char *expected)
{
        char text[256] = "";
        const char *name, *next;

        assert_true(sd_bus_message_enter_container(m, 'a', "(sssa{ss}assub)") > 0);
        while (sd_bus_message_enter_container(m, 'r', "sssa{ss}assub") > 0) {
                assert_true(sd_bus_message_read(m, "sss", NULL, &name, NULL) > 0);
                (void) snprintf(text + strlen(text), sizeof text - strlen(text), "%s ", name);
                assert_true(sd_bus_message_skip(m, "a{ss}assub") >= 0);
                assert_true(sd_bus_message_exit_container(m) >= 0);
        }
        assert_true(sd_bus_message_exit_container(m) >= 0);
        assert_true(sd_bus_message_read(m, "s", &next) > 0);
        (void) snprintf(text + strlen(text), sizeof text - strlen(text), "| %s", next);
        assert_string_equal(text, expected);
        sd_bus_message_unref(m);
}

static void test_find_receivers(void **state)
{
        Fixture *f = *state;

        UNTIL(f, HASH_CNT(hh_name, f->client.peers.by_name) == 3);
        assert_page(CALL(f, "FindReceivers", "a{sv}", 0), "1@here 2@beyond 2@there | ");
        assert_page(CALL(f, "FindReceivers", "a{sv}", 1, "limit", "u", 1), "1@here | 1@here");
        assert_page(CALL(f, "FindReceivers", "a{sv}", 1, "limit", "u", 2), "1@here 2@beyond | 2@beyond");
        assert_page(CALL(f, "FindReceivers", "a{sv}", 1, "limit", "u", 3), "1@here 2@beyond 2@there | ");
        assert_page(CALL(f, "FindReceivers", "a{sv}", 2, "limit", "u", 1, "after", "s", "1@here"),
                        "2@beyond | 2@beyond");
        assert_page(CALL(f, "FindReceivers", "a{sv}", 2, "after", "s", "2", "group", "s", "idle"),
                        "2@beyond 2@there | ");
        assert_page(CALL(f, "FindReceivers", "a{sv}", 1, "after", "s", "2@there"), "| ");
        FAILS(f, "InvalidArgument", "limit: from 1 to 1000", "FindReceivers", "a{sv}", 1, "limit", "u",
                        1001);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, new_fixture, free_fixture)

int main(void)
{
        const struct CMUnitTest tests[] = {
                        TEST(test_list_receivers),
                        TEST(test_find_receivers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
