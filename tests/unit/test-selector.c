/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str-util.h"
#include "model/selector.h"

static void test_text_round_trip(void **state)
{
        static const char *const texts[] = {
                        "to/5f0c1a2b-0000-4000-8000-000000000001",
                        "to/1@ant",
                        "any//",
                        "any/blue/",
                        "any/blue/disk=ssd,zone=a",
                        "any+plain//",
                        "any+plain/blue/zone=a",
                        "all//",
                        "all+follow/blue/zone=a",
                        "quorum=2+plain/blue/",
                        "key//zone=a/a/b=c,d",
                        "key/blue//k",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                Selector s;
                assert_int_equal(selector_parse(texts[i], &s), 0);
                _cleanup_free_ char *again = selector_format(&s);
                assert_string_equal(again, texts[i]);
                selector_clear(&s);
        }
}

static void test_bad_text(void **state)
{
        static const char *const texts[] = {"", "to", "to/", "to/z z", "one//", "any", "quorum//",
                        "quorum=0//", "any=2//", "any+follow//", "key//", "all+x//", "any/a b/", "any//zone",
                        "any/x"};

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                Selector s = {};
                assert_int_equal(selector_parse(texts[i], &s), -EINVAL);
                selector_clear(&s);
        }
}

static void test_equal_selectors_have_equal_text(void **state)
{
        const Label a = {"zone", "a"}, b = {"disk", "ssd"};
        Selector one = {.mode = SELECTOR_ANY}, other = {.mode = SELECTOR_ANY};

        assert_int_equal(selector_add_label(&one, &a), 0);
        assert_int_equal(selector_add_label(&one, &b), 0);
        assert_int_equal(selector_add_label(&other, &b), 0);
        assert_int_equal(selector_add_label(&other, &a), 0);
        assert_int_equal(selector_add_label(&other, &a), 0);
        _cleanup_free_ char *text = selector_format(&one), *other_text = selector_format(&other);
        assert_string_equal(text, other_text);
        selector_clear(&one);
        selector_clear(&other);
}

static void test_matches(void **state)
{
        Label labels[] = {{"zone", "a"}};
        ReceiverInfo info = {.id = {.bytes = {1}},
                        .name = (char *) "1",
                        .group = (char *) "blue",
                        .labels = labels,
                        .n_labels = 1};
        const struct {
                const char *text;
                bool matches, matches_plain;
        } rows[] = {
                        {"any//", true, false},
                        {"any+plain//", true, true},
                        {"any/blue/", true, false},
                        {"any/red/", false, false},
                        {"any//zone=a", true, false},
                        {"any//zone=b", false, false},
                        {"any//disk=a", false, false},
                        {"any+plain/blue/zone=a", true, true},
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                Selector s;
                assert_int_equal(selector_parse(rows[i].text, &s), 0);
                info.plain = false;
                assert_int_equal(selector_matches(&s, &info), rows[i].matches);
                info.plain = true;
                assert_int_equal(selector_matches(&s, &info), rows[i].matches_plain);
                selector_clear(&s);
        }
}

static void test_modes(void **state)
{
        static const struct {
                const char *text;
                SelectorMode mode;
                bool several;
        } rows[] = {
                        {"to/11111111-2222-3333-4444-555555555555", SELECTOR_TO, false},
                        {"to/web@bee", SELECTOR_TO, false},
                        {"any//", SELECTOR_ANY, false},
                        {"all+follow/blue/", SELECTOR_ALL, true},
                        {"quorum=2//", SELECTOR_QUORUM, true},
                        {"key///any", SELECTOR_KEY, false},
        };
        ReceiverInfo info = {};

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                Selector s;

                assert_int_equal(selector_text_mode(rows[i].text), rows[i].mode);
                assert_int_equal(selector_mode_is_fanout(rows[i].mode), rows[i].several);
                assert_int_equal(selector_parse(rows[i].text, &s), 0);
                assert_int_equal(s.mode, rows[i].mode);
                selector_clear(&s);
        }
        assert_int_equal(selector_text_mode("nonsense/"), SELECTOR_TO);

        Selector to = {.mode = SELECTOR_TO, .receiver = {.bytes = {1}}};
        assert_false(selector_matches(&to, &info));
        info.id = to.receiver;
        info.plain = true; /* whom it names is enough */
        assert_true(selector_matches(&to, &info));
        info.name = to.name = (char[]){"web"};
        assert_true(selector_matches(&to, &info));
        info.name = (char[]){"api"};
        assert_false(selector_matches(&to, &info));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_text_round_trip),
                        cmocka_unit_test(test_bad_text),
                        cmocka_unit_test(test_equal_selectors_have_equal_text),
                        cmocka_unit_test(test_matches),
                        cmocka_unit_test(test_modes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
