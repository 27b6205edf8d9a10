/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <locale.h>
#include <sys/socket.h>

#include "capture.h"

#include "ctl/bar.h"
#include "ctl/columns.h"
#include "ctl/print.h"
#include "ctl/steps.h"
#include "ctl/table.h"

static const Column columns[] = {
                {"NAME", "name", COLUMN_TEXT, 8},
                {"STATE", "state", COLUMN_STATE},
                {"N", "n", COLUMN_NUMBER},
                {"SIZE", "size", COLUMN_SIZE, 0, 2},
                {"ID", "id", COLUMN_ID, 0, 1},
                {"WHEN", "when", COLUMN_TIME, 0, 3},
                {"LABELS", "labels", COLUMN_LIST, 6},
                {},
};

#define ROW                                                                                                 \
        "{\"name\":\"first\",\"state\":\"acked\",\"n\":7,\"size\":2048,\"id\":\"0123456789abcdef\","        \
        "\"when\":1900000000000000,\"labels\":{\"zone\":\"a\",\"rack\":\"2\"}}"
#define EMPTY_ROW "{\"name\":\"\",\"labels\":[]}"

/* Prints with `terminal` columns, or not on a terminal where that is 0. */
static char *print_table(Ctl c, const char *json, unsigned short terminal)
{
        _cleanup_(cjsonp) cJSON *records = cJSON_Parse(json);
        Capture capture;

        assert_non_null(records);
        c.out_is_terminal = terminal > 0;
        if (terminal > 0)
                capture_begin_terminal(&capture, terminal);
        else
                capture_begin(&capture);
        table_print(&c, records, columns, "thing");
        capture_end(&capture);
        assert_string_equal(capture.err, "");
        free(capture.err);
        return capture.out;
}

static void assert_table(Ctl c, const char *json, unsigned short terminal, const char *wanted)
{
        _cleanup_free_ char *out = print_table(c, json, terminal);

        assert_string_equal(out, wanted);
}

static void test_table(void **state)
{
        assert_table((Ctl){}, "[" ROW "," EMPTY_ROW "]", 0,
                        "NAME   STATE  N  SIZE  ID                WHEN                 LABELS\n"
                        "first  acked  7  2048  0123456789abcdef  2030-03-17 17:46:40  zone=a,rack=2\n"
                        "-      -      0     0                    -                    -\n"
                        "\n2 things.\n");
        assert_table((Ctl){}, "[]", 0, "0 things.\n");
        assert_table((Ctl){.no_legend = true}, "[" ROW "]", 0,
                        "first  acked  7  2048  0123456789abcdef  2030-03-17 17:46:40  zone=a,rack=2\n");
        assert_table((Ctl){.no_legend = true}, "[]", 0, "");
}

static void test_table_json(void **state)
{
        assert_table((Ctl){.json = JSON_SHORT}, "[{\"name\":\"a\",\"n\":1900000000000000}]", 0,
                        "[{\"name\":\"a\",\"n\":1900000000000000}]\n");
        assert_table((Ctl){.json = JSON_PRETTY}, "[1]", 0, "[1]\n");
        assert_table((Ctl){.json = JSON_PRETTY}, "{\"a\":\"b\"}", 0, "{\n\t\"a\":\t\"b\"\n}\n");
}

/* On a terminal ids and sizes are short. Where it is narrow texts are cut, then times, then columns go. */
static void test_narrow(void **state)
{
        assert_table((Ctl){}, "[" ROW "]", 80,
                        "NAME   STATE  N  SIZE  ID        WHEN                 LABELS\n"
                        "first  acked  7  2.0K  01234567  2030-03-17 17:46:40  zone=a,rack=2\n"
                        "\n1 thing.\n");
        assert_table((Ctl){}, "[" ROW "]", 65,
                        "NAME   STATE  N  SIZE  ID        WHEN                 LABELS\n"
                        "first  acked  7  2.0K  01234567  2030-03-17 17:46:40  zone=a,rac…\n"
                        "\n1 thing.\n");
        assert_table((Ctl){.no_legend = true}, "[" ROW "]", 56,
                        "first  acked  7  2.0K  01234567  03-17 17:46  zone=a,ra…\n");
        assert_table((Ctl){.no_legend = true}, "[" ROW "]", 45,
                        "first  acked  7  2.0K  03-17 17:46  zone=a,r…\n");
        assert_table((Ctl){.no_legend = true}, "[" ROW "]", 36, "first  acked  7  03-17 17:46  zone=…\n");
        assert_table((Ctl){.no_legend = true}, "[" ROW "]", 25, "first  acked  7  zone=a,…\n");
        assert_table((Ctl){.no_legend = true}, "[" ROW "]", 10, "first  acked  7  zone=…\n");
}

static void test_wide_letters(void **state)
{
        _cleanup_free_ char *out = print_table((Ctl){.no_legend = true},
                        "[{\"name\":\"画像が見つかりません\",\"state\":\"dead\",\"n\":1},"
                        "{\"name\":\"ascii-ascii-ascii\",\"state\":\"dead\",\"n\":1}]",
                        35);
        char *rest = out;

        /* What stands behind them begins in the same column. */
        for (char *line; (line = strsep(&rest, "\n")) && *line;) {
                char *dead = strstr(line, "dead");
                assert_non_null(dead);
                *dead = '\0';
                assert_int_equal(columns_of(line), 16);
        }
}

static void test_colours(void **state)
{
        assert_table((Ctl){.out_colour = true, .no_legend = true},
                        "[{\"name\":\"a\",\"state\":\"acked\",\"n\":1}]", 20,
                        "a  \033[32macked\033[0m  1  -  -\n");
        assert_string_equal(style_begin(false, STYLE_BAD), "");
        assert_string_equal(style_end(true, STYLE_NONE), "");
        assert_int_equal(style_of_word("dead"), STYLE_BAD);
        assert_int_equal(style_of_word("member-acked"), STYLE_GOOD);
        assert_int_equal(style_of_word("draining"), STYLE_WARN);
        assert_int_equal(style_of_word("idle"), STYLE_DIM);
        assert_int_equal(style_of_word("sent"), STYLE_NONE);
        assert_int_equal(style_of_word("whatever"), STYLE_NONE);
}

static void test_lines(void **state)
{
        _cleanup_(cjsonp) cJSON *record = cJSON_Parse("{\"name\":\"-\",\"state\":\"dead\",\"n\":2,\"size\":"
                                                      "1536,\"when\":0,\"id\":\"0123456789\"}");
        Capture capture;

        capture_begin(&capture);
        lines_print(&(Ctl){}, record, columns);
        lines_print(&(Ctl){.json = JSON_SHORT}, record, columns);
        capture_end(&capture);
        assert_string_equal(capture.out,
                        "  NAME: -\n STATE: dead\n     N: 2\n  SIZE: 1536\n    ID: 0123456789\n"
                        "{\"name\":\"-\",\"state\":\"dead\",\"n\":2,\"size\":1536,\"when\":0,\"id\":"
                        "\"0123456789\"}\n");
        capture_clear(&capture);
}

static void test_cells(void **state)
{
        static const struct {
                const char *json;
                ColumnKind kind;
                const char *text, *on_terminal; /* NULL: the same */
        } cases[] = {
                        {"\"a\\u001b[2J\"", COLUMN_TEXT, "a\\x1b[2J", NULL},
                        {"[97,0,255]", COLUMN_TEXT, "a\\x00\\xff", NULL},
                        {"\"\"", COLUMN_TEXT, "-", NULL},
                        {"null", COLUMN_TEXT, "-", NULL},
                        {"\"0123456789\"", COLUMN_ID, "0123456789", "01234567"},
                        {"1023", COLUMN_SIZE, "1023", "1023B"},
                        {"1024", COLUMN_SIZE, "1024", "1.0K"},
                        {"10240", COLUMN_SIZE, "10240", "10K"},
                        {"3221225472", COLUMN_SIZE, "3221225472", "3.0G"},
                        {"5497558138880", COLUMN_SIZE, "5497558138880", "5120G"},
                        {"12", COLUMN_NUMBER, "12", NULL},
                        {"\"twelve\"", COLUMN_NUMBER, "0", NULL},
                        {"0", COLUMN_TIME, "-", NULL},
                        {"[\"a\",\"b\"]", COLUMN_LIST, "a,b", NULL},
                        {"{}", COLUMN_LIST, "-", NULL},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(cjsonp) cJSON *value = cJSON_Parse(cases[i].json);
                _cleanup_free_ char *text = cell_format(&(Ctl){}, value, cases[i].kind),
                                    *short_text = cell_format(
                                                    &(Ctl){.out_is_terminal = true}, value, cases[i].kind);

                assert_string_equal(text, cases[i].text);
                assert_string_equal(short_text, cases[i].on_terminal ?: cases[i].text);
        }
}

static void test_columns(void **state)
{
        static const struct {
                const char *text;
                size_t columns, used;
                const char *printed;
        } cases[] = {
                        {"abc", 3, 3, "abc"},
                        {"abcd", 3, 3, "ab…"},
                        {"画像", 4, 4, "画像"},
                        {"画像", 3, 3, "画…"},
                        {"画像", 2, 1, "…"},
                        {"abc", 0, 0, ""},
                        {"", 5, 0, ""},
                        {"a\xff\xff"
                         "b",
                                        10, 4,
                                        "a\xff\xff"
                                        "b"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Capture capture;
                size_t used;

                capture_begin(&capture);
                used = columns_print(stdout, cases[i].text, cases[i].columns);
                capture_end(&capture);
                assert_int_equal(used, cases[i].used);
                assert_string_equal(capture.out, cases[i].printed);
                capture_clear(&capture);
        }
        assert_int_equal(columns_of_terminal(-1), 80);
}

static void test_bar(void **state)
{
        char buffer[11];
        Capture capture;
        Bar b = {};

        assert_string_equal(bar_draw(buffer, 10, 0), "          ");
        assert_string_equal(bar_draw(buffer, 10, 0.55), "#####     ");
        assert_string_equal(bar_draw(buffer, 10, 1), "##########");
        assert_string_equal(bar_draw(buffer, 10, 7), "##########");
        assert_string_equal(bar_draw(buffer, 10, -1), "          ");

        capture_begin_terminal(&capture, 8);
        bar_erase(&b);
        bar_keep(&b);
        bar_show(&b, "working");
        bar_show(&b, "working on");
        bar_keep(&b);
        bar_keep(&b);
        bar_show(&b, "again");
        bar_erase(&b);
        capture_end(&capture);
        assert_string_equal(capture.out, "\r\033[Kworking\r\033[Kworkin…\n\r\033[Kagain\r\033[K");
        capture_clear(&capture);
}

static void test_value_bytes(void **state)
{
        static const struct {
                const char *data;
                size_t size;
                const char *json;
        } cases[] = {
                        {"text\n", 5, "\"text\\n\""},
                        {"", 0, "\"\""},
                        {"\xff\0", 2, "[255,0]"},
                        {"a\0b", 3, "[97,0,98]"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(cjsonp) cJSON *value = value_of_bytes(cases[i].data, cases[i].size);
                _cleanup_free_ char *json = cJSON_PrintUnformatted(value);
                size_t n;
                _cleanup_free_ char *bytes = value_bytes(value, &n);

                assert_string_equal(json, cases[i].json);
                assert_int_equal(n, cases[i].size);
                assert_memory_equal(bytes, cases[i].data, n);
        }
}

static void test_fail(void **state)
{
        Capture capture;
        int r;

        capture_begin(&capture);
        r = ctl_fail(EXIT_TIMEOUT, "%s is %d", "it", 3);
        capture_end(&capture);
        assert_int_equal(r, EXIT_TIMEOUT);
        assert_string_equal(capture.err, "ackctl: it is 3\n");
        assert_string_equal(capture.out, "");
        capture_clear(&capture);
}

/* A line is one write, so that lines of several programs do not mix. A packet socket keeps writes apart. */
static void test_one_write_per_line(void **state)
{
        Ctl c = {.err_colour = true};
        Steps steps = {.c = &c};
        char first[256] = "", second[256] = "";
        int fds[2], saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
        assert_true(dup2(fds[0], STDERR_FILENO) >= 0);
        steps_say(&steps, "acked", "by %s, %u attempts", "1@host", 2u);
        assert_int_equal(ctl_fail(EXIT_FAILED, "no %s", "bus"), EXIT_FAILED);
        assert_true(dup2(saved, STDERR_FILENO) >= 0);
        assert_true(recv(fds[1], first, sizeof first - 1, MSG_DONTWAIT) > 0);
        assert_true(recv(fds[1], second, sizeof second - 1, MSG_DONTWAIT) > 0);
        assert_string_equal(first, "\033[32macked       \033[0m  by 1@host, 2 attempts\n");
        assert_string_equal(second, "ackctl: no bus\n");
        steps_clear(&steps);
        (void) close(fds[0]);
        (void) close(fds[1]);
        (void) close(saved);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_table),
                        cmocka_unit_test(test_table_json),
                        cmocka_unit_test(test_narrow),
                        cmocka_unit_test(test_wide_letters),
                        cmocka_unit_test(test_colours),
                        cmocka_unit_test(test_lines),
                        cmocka_unit_test(test_cells),
                        cmocka_unit_test(test_columns),
                        cmocka_unit_test(test_bar),
                        cmocka_unit_test(test_one_write_per_line),
                        cmocka_unit_test(test_value_bytes),
                        cmocka_unit_test(test_fail),
        };

        assert(setlocale(LC_CTYPE, "C.UTF-8"));
        assert(setenv("TZ", "UTC", 1) == 0);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
