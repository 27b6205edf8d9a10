/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
/* cmocka needs those before it */
#include <cmocka.h>

#include "base/utf8.h"

static void test_decode(void **state)
{
        static const struct {
                const char *in;
                size_t length;
                uint32_t character;
        } cases[] = {
                        {"a", 1, 'a'},
                        {"\x7f", 1, 0x7f},
                        {"\xc2\x80", 2, 0x80},
                        {"ß!", 2, 0xdf},
                        {"画", 3, 0x753b},
                        {"\xf0\x9f\x98\x80", 4, 0x1f600},
                        {"\xf4\x8f\xbf\xbf", 4, 0x10ffff},
                        {"\xf4\x90\x80\x80", 0, 0}, /* beyond Unicode */
                        {"\xed\xa0\x80", 0, 0},     /* a surrogate */
                        {"\xc0\x80", 0, 0},         /* overlong */
                        {"\xe0\x9f\xbf", 0, 0},
                        {"\xf0\x8f\xbf\xbf", 0, 0},
                        {"\x80", 0, 0},
                        {"\xff", 0, 0},
                        {"\xe7\x94", 0, 0}, /* cut off */
                        {"\xe7\x94!", 0, 0},
                        {"", 0, 0},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint32_t c = 0;

                assert_int_equal(utf8_decode(cases[i].in, strlen(cases[i].in), &c), cases[i].length);
                assert_int_equal(c, cases[i].character);
        }
}

static void test_is_text(void **state)
{
        assert_true(utf8_is_text("", 0));
        assert_true(utf8_is_text("a ß 画", strlen("a ß 画")));
        assert_false(utf8_is_text("a\0b", 3));
        assert_false(utf8_is_text("a\xff", 2));
        assert_false(utf8_is_text("画", 2));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_decode),
                        cmocka_unit_test(test_is_text),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
