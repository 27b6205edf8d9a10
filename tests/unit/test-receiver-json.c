/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "base/str-util.h"
#include "wire/registration-json.h"

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
                        {"", ""},
                        {"{", ""},
                        {"{} x", ""},
                        {"[]", ""},
                        {"{" REST "}", "instance"},
                        {"{\"instance\":\"x\"," REST "}", "instance"},
                        {"{\"id\":3," INSTANCE "," REST "}", "id"},
                        {"{" INSTANCE "}", "name"},
                        {"{" INSTANCE ",\"name\":\"-\"}", "name"},
                        {"{" INSTANCE ",\"name\":\"a\"}", "addresses"},
                        {"{" INSTANCE ",\"name\":\"a\",\"addresses\":[]}", "addresses"},
                        {"{" INSTANCE ",\"name\":\"a\",\"addresses\":[\"x\"]}", "addresses"},
                        {"{" INSTANCE ",\"name\":\"a\",\"addresses\":[1]}", "addresses"},
                        {"{" INSTANCE ",\"capacity\":0," REST "}", "capacity"},
                        {"{" INSTANCE ",\"capacity\":1.5," REST "}", "capacity"},
                        {"{" INSTANCE ",\"group\":null," REST "}", "group"},
                        {"{" INSTANCE ",\"host\":\"x\"," REST "}", "host"},
                        {"{" INSTANCE ",\"host\":{\"boot\":\"x\"}," REST "}", "boot"},
                        {"{" INSTANCE ",\"labels\":[]," REST "}", "labels"},
                        {"{" INSTANCE ",\"labels\":{\"a\":1}," REST "}", "labels"},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                ReceiverInfo info;
                JsonError error = {};

                assert_int_equal(parse(table[i].text, &info, &error), -EINVAL);
                assert_string_equal(error.field, table[i].field);
                assert_true(error.error.text[0]);
        }
}

/* cJSON would cut the text there. */
static void test_nul(void **state)
{
        static const char raw[] = "{" INSTANCE ",\"name\":\"a\0b\"}";
        static const char *const texts[] = {
                        "{" INSTANCE ",\"group\":\"a\\u0000b\"," REST "}",
                        "{" INSTANCE ",\"labels\":{\"a\\u0000\":\"b\"}," REST "}",
                        "{" INSTANCE ",\"group\":\"\\\\\\u0000\"," REST "}",
        };
        ReceiverInfo info;
        JsonError error = {};
        cJSON *json;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                assert_int_equal(parse(texts[i], &info, &error), -EINVAL);
                assert_non_null(strstr(error.error.text, "NUL near byte"));
        }
        assert_int_equal(json_parse(raw, sizeof raw - 1, &json, &error), -EINVAL);
        assert_non_null(strstr(error.error.text, "NUL near byte"));
        assert_int_equal(json_parse("\"\\\\u0000\"", 9, &json, &error), 0); /* a backslash, and text */
        assert_string_equal(cJSON_GetStringValue(json), "\\u0000");
        cJSON_Delete(json);
        assert_int_equal(json_parse("\"\\", 2, &json, &error), -EINVAL);
}

static void test_list(void **state)
{
        ReceiverInfo info;
        JsonError error = {};

        assert_int_equal(parse("{\"id\":" ID "," INSTANCE ",\"labels\":{\"k\":\"v\"},\"capacity\":7," REST
                               "}",
                                         &info, &error),
                        0);
        _cleanup_(cjson_deletep) cJSON *json = receiver_json_print(&info);
        assert_non_null(json);
        _cleanup_free_ char *record = cJSON_PrintUnformatted(json);
        _cleanup_free_ char *text = str_format("{\"revision\":\"r\",\"receivers\":[%s]}", record);
        ReceiverList list;

        assert_int_equal(receiver_list_parse(text, strlen(text), &list, &error), 0);
        assert_int_equal(list.n, 1);
        assert_false(list.changes);
        assert_string_equal(list.revision, "r");
        assert_string_equal(list.next, "");
        assert_true(receiver_info_equal(list.infos, &info));
        receiver_list_clear(&list);

        _cleanup_free_ char *labels = receiver_json_labels(&info),
                            *addresses = receiver_json_addresses(&info);
        assert_non_null(strstr(record, labels));
        assert_non_null(strstr(record, addresses));
        receiver_info_clear(&info);
}

static void test_list_fields(void **state)
{
        static const char changes[] =
                        "{\"revision\":\"e-9\",\"since\":\"e-7\",\"removed\":[" ID "],\"receivers\":[]}";
        static const struct {
                const char *text, *field;
        } wrong[] = {
                        {"{\"receivers\":[]}", "revision"},
                        {"{\"revision\":\"a&b\",\"receivers\":[]}", "revision"},
                        {"{\"revision\":\"a\",\"next\":\"a&b\",\"receivers\":[]}", "next"},
                        {"{\"revision\":\"a\",\"next\":1,\"receivers\":[]}", "next"},
                        {"{\"revision\":\"a\"}", "receivers"},
                        {"{\"revision\":\"a\",\"receivers\":[{}]}", "id"},
                        {"{\"revision\":\"a\",\"receivers\":[],\"removed\":1}", "removed"},
                        {"{\"revision\":\"a\",\"receivers\":[],\"removed\":[\"x\"]}", "removed"},
        };
        ReceiverList list;

        assert_int_equal(receiver_list_parse(changes, strlen(changes), &list, NULL), 0);
        assert_true(list.changes);
        assert_int_equal(list.n, 0);
        assert_int_equal(list.n_removed, 1);
        receiver_list_clear(&list);
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                JsonError error = {};
                assert_int_equal(receiver_list_parse(wrong[i].text, strlen(wrong[i].text), &list, &error),
                                -EINVAL);
                assert_string_equal(error.field, wrong[i].field);
        }
}

static void test_registration(void **state)
{
        ReceiverInfo info = {.name = (char *) "a", .group = (char *) "g", .capacity = 3};
        static const struct {
                const char *text, *field;
        } wrong[] = {
                        {"[", ""},
                        {"{}", "id"},
                        {"{\"id\":" ID "}", "token"},
                        {"{\"id\":" ID ",\"token\":\"a\"}", "lease_seconds"},
                        {"{\"id\":" ID ",\"token\":\"a\",\"lease_seconds\":0}", "lease_seconds"},
                        {"{\"id\":" ID ",\"token\":\"a\\r\\nX: y\",\"lease_seconds\":30}", "token"},
        };
        static const char right[] = "{\"id\":" ID ",\"token\":\"0a\",\"lease_seconds\":1.5,\"more\":1}";
        Registered registered;
        JsonError error;
        uint64_t lease;

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                error = (JsonError){};
                assert_int_equal(registered_parse(wrong[i].text, strlen(wrong[i].text), &registered, &error),
                                -EINVAL);
                assert_string_equal(error.field, wrong[i].field);
        }
        assert_int_equal(registered_parse(right, strlen(right), &registered, &error), 0);
        assert_string_equal(registered.token, "0a");
        assert_int_equal(registered.lease_usec, 1500000);
        assert_int_equal(lease_parse(right, strlen(right), &lease, &error), 0);
        assert_int_equal(lease, 1500000);

        _cleanup_free_ char *plain = registration_print(&info, SD_ID128_NULL);
        _cleanup_free_ char *claim = registration_print(&info, registered.id);
        assert_null(strstr(plain, "previous_instance"));
        assert_non_null(strstr(claim, "\"previous_instance\":" ID));
}

static void test_api_error(void **state)
{
        static const char said[] = "{\"error\":{\"code\":\"id-alive\",\"field\":\"id\",\"message\":\"no\"}}";
        static const struct {
                const char *said;
                uint64_t usec;
        } heard[] = {{"0", 0}, {"1500", 1500000}, {"-1", USEC_INFINITY}, {"1e300", USEC_INFINITY},
                        {"\"1\"", USEC_INFINITY}};
        ApiError error;

        api_error_parse(said, strlen(said), &error);
        assert_string_equal(error.code, "id-alive");
        assert_string_equal(error.error.text, "no");
        assert_int_equal(error.heard_usec, USEC_INFINITY);
        for (size_t i = 0; i < ELEMENTSOF(heard); i++) {
                _cleanup_free_ char *text = str_format("{\"error\":{\"heard_ms_ago\":%s}}", heard[i].said);
                api_error_parse(text, strlen(text), &error);
                assert_int_equal(error.heard_usec, heard[i].usec);
        }
        api_error_parse("nonsense", 8, &error);
        assert_string_equal(error.code, "");
        api_error_parse("{\"error\":4}", 11, &error);
        assert_string_equal(error.code, "");
}

/* As it is kept on disk: all of it comes back. */
static void test_text(void **state)
{
        Label labels[] = {{"zone", "a"}, {"disk", "ssd"}};
        Address addresses[2];
        ReceiverInfo info = {.id = {.bytes = {1}},
                        .instance = {.bytes = {2}},
                        .name = (char *) "r@host",
                        .group = (char *) "g",
                        .labels = labels,
                        .n_labels = 2,
                        .addresses = addresses,
                        .n_addresses = 2,
                        .capacity = 9,
                        .draining = true};
        ReceiverInfo back;

        assert_int_equal(address_parse("tcp:[::1]:7481", addresses, NULL), 0);
        assert_int_equal(address_parse("unix:/run/r.sock", addresses + 1, NULL), 0);
        for (unsigned round = 0; round < 2; round++) {
                info.plain = round == 1;
                _cleanup_free_ char *text = receiver_json_to_text(&info);
                assert_int_equal(receiver_json_from_text(text, &back), 0);
                assert_true(receiver_info_equal(&info, &back));
                receiver_info_clear(&back);
        }
        assert_int_equal(receiver_json_from_text("{", &back), -EINVAL);
        assert_int_equal(receiver_json_from_text("{}", &back), -EINVAL);

        _cleanup_free_ char *part = receiver_json_labels(&info), *list = receiver_json_addresses(&info);
        assert_string_equal(part, "{\"zone\":\"a\",\"disk\":\"ssd\"}");
        assert_string_equal(list, "[\"tcp:[::1]:7481\",\"unix:/run/r.sock\"]");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_text),
                        cmocka_unit_test(test_errors),
                        cmocka_unit_test(test_nul),
                        cmocka_unit_test(test_list),
                        cmocka_unit_test(test_list_fields),
                        cmocka_unit_test(test_registration),
                        cmocka_unit_test(test_api_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
