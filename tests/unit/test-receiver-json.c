/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "base/str-util.h"
#include "wire/receiver-json.h"

#define ID       "\"11111111-2222-3333-4444-555555555555\""
#define INSTANCE "\"instance\":" ID
#define REST     "\"name\":\"a\",\"addresses\":[\"tcp:127.0.0.1:1\"]"

static int parse(const char *text, ReceiverInfo *ret, JsonError *error)
{
        _cleanup_(cjson_deletep) cJSON *json = NULL;
        int r = json_parse(text, strlen(text), &json, error);

        return r < 0 ? r : receiver_json_parse(json, true, ret, error);
}

static void test_errors(void **state)
{
        static const struct {
                const char *text, *field;
        } table[] = {
                        {"",                                                    ""         },
                        {"{",                                                   ""         },
                        {"{} x",                                                ""         },
                        {"[]",                                                  ""         },
                        {"{" REST "}",                                          "instance" },
                        {"{\"instance\":\"x\"," REST "}",                       "instance" },
                        {"{\"id\":3," INSTANCE "," REST "}",                    "id"       },
                        {"{" INSTANCE "}",                                      "name"     },
                        {"{" INSTANCE ",\"name\":\"-\"}",                       "name"     },
                        {"{" INSTANCE ",\"name\":\"a\"}",                       "addresses"},
                        {"{" INSTANCE ",\"name\":\"a\",\"addresses\":[]}",      "addresses"},
                        {"{" INSTANCE ",\"name\":\"a\",\"addresses\":[\"x\"]}", "addresses"},
                        {"{" INSTANCE ",\"name\":\"a\",\"addresses\":[1]}",     "addresses"},
                        {"{" INSTANCE ",\"capacity\":0," REST "}",              "capacity" },
                        {"{" INSTANCE ",\"capacity\":1.5," REST "}",            "capacity" },
                        {"{" INSTANCE ",\"group\":null," REST "}",              "group"    },
                        {"{" INSTANCE ",\"labels\":[]," REST "}",               "labels"   },
                        {"{" INSTANCE ",\"labels\":{\"a\":1}," REST "}",        "labels"   },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                ReceiverInfo info;
                JsonError error = {};

                assert_int_equal(parse(table[i].text, &info, &error), -EINVAL);
                assert_string_equal(error.field, table[i].field);
                assert_true(error.error.text[0]);
        }
}

static void test_list(void **state)
{
        ReceiverInfo info, *infos;
        JsonError error = {};
        char *revision;
        size_t n;

        assert_int_equal(parse("{\"id\":" ID "," INSTANCE ",\"labels\":{\"k\":\"v\"},\"capacity\":7," REST
                               "}",
                                         &info, &error),
                        0);
        _cleanup_(cjson_deletep) cJSON *json = receiver_json_print(&info);
        assert_non_null(json);
        _cleanup_free_ char *record = cJSON_PrintUnformatted(json);
        _cleanup_free_ char *list = str_format("{\"revision\":\"r\",\"receivers\":[%s]}", record);

        assert_int_equal(receiver_json_parse_list(list, strlen(list), &infos, &n, &revision, &error), 0);
        assert_int_equal(n, 1);
        assert_string_equal(revision, "r");
        assert_true(receiver_info_equal(infos, &info));
        receiver_info_array_free(infos, n);
        receiver_info_clear(&info);
        free(revision);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_errors),
                        cmocka_unit_test(test_list),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
