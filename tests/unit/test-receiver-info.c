/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/receiver-info.h"

static ReceiverInfo make(void)
{
        static Label labels[] = {{"zone", "a"}, {"size", "big"}};
        static Address addresses[2];
        ReceiverInfo info = {.id = {.bytes = {1}}, .instance = {.bytes = {2}}, .capacity = 8};

        assert_int_equal(address_parse("tcp:10.0.0.1:7481", addresses, NULL), 0);
        assert_int_equal(address_parse("unix:/run/r.sock", addresses + 1, NULL), 0);
        info.name = (char *) "r@host";
        info.group = (char *) "workers";
        info.labels = labels, info.n_labels = ELEMENTSOF(labels);
        info.addresses = addresses, info.n_addresses = ELEMENTSOF(addresses);
        return info;
}

/* A clone has the machine id of its original, and containers may have none or their own. */
static void test_hosts(void **state)
{
        const sd_id128_t a = {.bytes = {1}}, b = {.bytes = {2}}, none = SD_ID128_NULL;
        const struct {
                HostMark one, other;
                bool differs;
        } table[] = {
                        {{a, a}, {a, a}, false},
                        {{a, a}, {a, b}, false}, /* booted again, or a clone: whoever answers HELLO is asked
                                                  */
                        {{a, a}, {b, a}, false}, /* two containers of one host */
                        {{a, a}, {b, b}, true},
                        {{a, a}, {none, none}, false}, /* an older receiver */
                        {{none, a}, {none, b}, true},
                        {{none, a}, {none, a}, false},
                        {{a, none}, {b, none}, false},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                assert_true(host_mark_differs(&table[i].one, &table[i].other) == table[i].differs);
                assert_true(host_mark_differs(&table[i].other, &table[i].one) == table[i].differs);
        }
}

static void test_copy(void **state)
{
        ReceiverInfo original = make(), copy;

        assert_int_equal(receiver_info_copy(&original, &copy), 0);
        assert_true(receiver_info_equal(&original, &copy));
        assert_ptr_not_equal(original.name, copy.name);
        assert_ptr_not_equal(original.labels, copy.labels);
        receiver_info_clear(&copy);
        assert_null(copy.name);
        assert_int_equal(copy.n_labels, 0);

        /* Nothing in it. */
        assert_int_equal(receiver_info_copy(&(ReceiverInfo){}, &copy), 0);
        assert_null(copy.addresses);
        receiver_info_clear(&copy);
}

static void test_equal(void **state)
{
        const ReceiverInfo a = make();
        ReceiverInfo b = a;
        Label turned[] = {{"size", "big"}, {"zone", "a"}}, other[] = {{"size", "big"}, {"zone", "b"}};
        Address moved[2] = {a.addresses[1], a.addresses[0]};

        b.labels = turned; /* their order says nothing */
        assert_true(receiver_info_equal(&a, &b));
        b.labels = other;
        assert_false(receiver_info_equal(&a, &b));
        b = a, b.addresses = moved; /* the order of addresses does */
        assert_false(receiver_info_equal(&a, &b));
        b = a, b.draining = true;
        assert_false(receiver_info_equal(&a, &b));
        b = a, b.group = (char *) "others";
        assert_false(receiver_info_equal(&a, &b));
        b = a, b.instance.bytes[0] = 9;
        assert_false(receiver_info_equal(&a, &b));
}

static void test_labels(void **state)
{
        static const char *const bad[] = {"zone", "=a", "zone=", "zone=a b", "-zone=a",
                        "01234567890123456789012345678901234567890123456789012345678901234=a",
                        "a=01234567890123456789012345678901234567890123456789012345678901234"};
        const ReceiverInfo info = make();
        Label label;

        assert_int_equal(label_parse("zone=a", &label, NULL), 0);
        assert_true(receiver_info_has_labels(&info, &label, 1));
        assert_true(receiver_info_has_labels(&info, NULL, 0));
        assert_true(receiver_info_has_labels(&info, info.labels, info.n_labels));
        strcpy(label.value, "b");
        assert_false(receiver_info_has_labels(&info, &label, 1));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                Error error = {};
                assert_int_equal(label_parse(bad[i], &label, &error), -EINVAL);
                assert_true(error.text[0] != '\0');
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_hosts),
                        cmocka_unit_test(test_copy),
                        cmocka_unit_test(test_equal),
                        cmocka_unit_test(test_labels),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
