/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <limits.h>
#include <locale.h>

#include "capture.h"

#include "ctl/columns.h"
#include "ctl/help.h"
#include "ctl/options.h"
#include "ctl/run.h"
#include "ctl/suggest.h"
#include "ctl/verbs.h"

/* What each verb takes besides the options of every verb, and its arguments. */
static const struct {
        const char *verb, *argument, *options;
} uses[] = {
                {"list", NULL, " group label all "},
                {"send", "x",
                                " to any all quorum key group label include-plain follow-joins in at "
                                "deadline "
                                "max-attempts ack-timeout backoff backoff-max priority idempotency-key file "
                                "lines null durability no-wait timeout "},
                {"messages", NULL, " state limit all "},
                {"show", "123456", " "},
                {"wait", "123456", " timeout "},
                {"cancel", "123456", " "},
                {"trace", "123456", " "},
                {"why", "123456", " "},
                {"dead", NULL, " all "},
                {"drain", "1", " "},
                {"resume", "1", " "},
                {"monitor", NULL, " "},
                {"status", NULL, " "},
};

/* Runs ackctl where there is no bus. */
static int run(Capture *capture, const char *const *words)
{
        char *argv[16] = {(char *) "ackctl"};
        Ctl c = {};
        int argc = 1, r;

        while (words[argc - 1]) {
                argv[argc] = (char *) words[argc - 1];
                argc++;
        }
        capture_begin(capture);
        r = ctl_run(&c, argc, argv);
        capture_end(capture);
        return r;
}

#define RUN(capture, ...) run(capture, (const char *const[]){__VA_ARGS__, NULL})

static const char *example(const Option *o)
{
        return !o->value                    ? ""
               : o->kind == OPTION_DURATION ? "=5s"
               : o->kind == OPTION_MODE     ? "=short"
                                            : "=1";
}

static bool is_listed(const char *list, const char *name)
{
        _cleanup_free_ char *word = str_format(" %s ", name);

        return strstr(list, word);
}

static void test_each_option_of_each_verb(void **state)
{
        for (size_t i = 0; i < ELEMENTSOF(uses); i++)
                for (OptionId id = 0; id < OPTION_HELP; id++) {
                        const Option *o = options_table + id;
                        _cleanup_free_ char *option = o->name ? str_format("--%s%s", o->name, example(o))
                                                              : str_format("-%c", o->letter);
                        bool taken = id >= OPTION_JSON || is_listed(uses[i].options, o->name);
                        Capture capture;
                        int r = RUN(&capture, uses[i].verb, option, uses[i].argument);

                        if (taken != !strstr(capture.err, "does not take"))
                                print_error("%s %s: %s\n", uses[i].verb, option, capture.err);
                        assert_true(taken == !strstr(capture.err, "does not take"));
                        assert_true(taken ? r == EXIT_NO_SERVICE || r == EXIT_USAGE : r == EXIT_USAGE);
                        assert_string_equal(capture.out, "");
                        capture_clear(&capture);
                }
}

static void test_letters(void **state)
{
        char *argv[] = {(char *) "ackctl", (char *) "send", (char *) "-a", (char *) "-gblue", (char *) "-l",
                        (char *) "a=b", (char *) "-l", (char *) "c=d", (char *) "-f", (char *) "file",
                        (char *) "-t", (char *) "1min", (char *) "-H", (char *) "host", (char *) "-n3",
                        (char *) "text", (char *) "--json", (char *) "pretty", NULL};
        char **rest;
        Ctl c = {};
        uint64_t seen;
        int n;

        assert_int_equal(options_parse(&c, ELEMENTSOF(argv) - 1, argv, &seen, &n, &rest), 0);
        assert_int_equal(n, 2);
        assert_string_equal(rest[0], "send");
        assert_string_equal(rest[1], "text");
        assert_true(c.all && !c.any);
        assert_string_equal(c.group, "blue");
        assert_int_equal(strv_length(c.labels), 2);
        assert_string_equal(c.labels[1], "c=d");
        assert_string_equal(c.file, "file");
        assert_string_equal(c.host, "host");
        assert_int_equal(c.timeout_usec, 60000000);
        assert_int_equal(c.limit, 3);
        assert_int_equal(c.json, JSON_PRETTY);
        assert_string_equal(options_find_excess(seen, OPTIONS_EVERYWHERE), "all");
        assert_null(options_find_excess(seen, UINT64_MAX));
        /* --all is one of four; to whom it means something takes it. */
        assert_string_equal(options_find_excess(seen, OPTIONS_EVERYWHERE | OPTION_BIT(OPTION_ALL_MESSAGES)),
                        "group");
        options_clear(&c);
        assert_null(c.labels);
        for (int terminal = 0; terminal < 2; terminal++) {
                char *j[] = {(char *) "ackctl", (char *) "-j", NULL};

                c = (Ctl){.out_is_terminal = terminal};
                assert_int_equal(options_parse(&c, 2, j, &seen, &n, &rest), 0);
                assert_int_equal(c.json, terminal ? JSON_PRETTY : JSON_SHORT);
        }
}

static void test_distance(void **state)
{
        static const struct {
                const char *a, *b;
                unsigned distance;
        } cases[] = {
                        {"", "", 0},
                        {"list", "list", 0},
                        {"list", "lsit", 1},
                        {"list", "lit", 1},
                        {"list", "wist", 1},
                        {"list", "lists", 1},
                        {"monitor", "mointro", 2},
                        {"abc", "", 3},
                        {"send", "trace", 5},
                        {"an-option-that-is-longer-than-any-of-ours", "list", UINT_MAX},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_int_equal(suggest_distance(cases[i].a, cases[i].b), cases[i].distance);
                assert_int_equal(suggest_distance(cases[i].b, cases[i].a), cases[i].distance);
        }
        assert_true(suggest_is_near("mess", "messages"));
        assert_false(suggest_is_near("me", "messages"));
        assert_false(suggest_is_near("why", "wait"));
}

static void test_mistakes(void **state)
{
        static const struct {
                const char *words[6];
                const char *text;
        } cases[] = {
                        {{"frob"}, "there is no verb \"frob\"; \"ackctl --help\""},
                        {{"lst"}, "there is no verb \"lst\"; did you mean \"list\"?"},
                        {{"list", "--grop=x"}, "Did you mean \"--group\"?"},
                        {{NULL}, "Usage: ackctl"},
                        {{"list", "--bogus"}, "\"ackctl --help\" shows the options."},
                        {{"list", "--json=xml"}, "not \"xml\""},
                        {{"list", "x"}, "too many arguments for list"},
                        {{"show"}, "show needs ID…"},
                        {{"--limit", "3"}, "--limit needs a verb"},
                        {{"messages", "--limit", "0"}, "--limit is a number from 1, not \"0\""},
                        {{"wait", "--timeout", "soon", "123456"}, "--timeout is a time like"},
                        {{"list", "--user", "--system"}, "--user and --system exclude"},
                        {{"list", "--user", "--host=h"}, "--host reaches the system's client only"},
                        {{"list", "--machine=m", "--host=h"}, "--host and --machine exclude"},
                        {{"list", "--machine="}, "need a name"},
                        {{"send", "--any", "two", "words"}, "in quotes"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Capture capture;

                assert_int_equal(run(&capture, cases[i].words), EXIT_USAGE);
                assert_contains(capture.err, cases[i].text);
                capture_clear(&capture);
        }
}

static void assert_narrow(const char *text, size_t columns)
{
        _cleanup_free_ char *copy = strdup(text);
        char *rest = copy;

        for (char *line; (line = strsep(&rest, "\n"));)
                if (columns_of(line) > columns) {
                        print_error("too wide: %s\n", line);
                        fail();
                }
}

static void test_help(void **state)
{
        Capture all, capture;

        assert_int_equal(RUN(&all, "--help"), EXIT_OK);
        assert_narrow(all.out, 90);
        for (size_t i = 0; i < ELEMENTSOF(uses); i++) {
                _cleanup_free_ char *row = str_format("\n  %s ", uses[i].verb),
                                    *usage = str_format("Usage: ackctl %s [OPTION…]", uses[i].verb);
                Capture other;

                assert_string_equal(verbs_table[i].name, uses[i].verb);
                assert_contains(all.out, row);
                assert_contains(all.out, verbs_table[i].summary);
                assert_int_equal(RUN(&capture, uses[i].verb, "--help"), EXIT_OK);
                assert_int_equal(RUN(&other, "help", uses[i].verb), EXIT_OK);
                assert_string_equal(capture.out, other.out);
                assert_string_equal(capture.err, "");
                assert_ptr_equal(strstr(capture.out, usage), capture.out);
                assert_contains(capture.out, "\nExample");
                assert_contains(capture.out, "Exit status: 0 done");
                assert_narrow(capture.out, 90);
                for (OptionId id = 0; id < _OPTION_MAX; id++) {
                        const Option *o = options_table + id;
                        _cleanup_free_ char *option =
                                        o->name ? str_format("--%s%s%s ", o->name, o->value ? "=" : "",
                                                                  o->value ?: "")
                                                : str_format("-%c ", o->letter);
                        bool taken = id >= OPTION_JSON || is_listed(uses[i].options, o->name);
                        char *first = strstr(strstr(capture.out, "\nOptions:"), option);

                        /* once, with or without the letter */
                        assert_true(taken == (first && (first[-1] == ' ')));
                        assert_false(first && strstr(first + 1, option));
                }
                capture_clear(&capture);
                capture_clear(&other);
        }
        assert_null(verbs_table[ELEMENTSOF(uses)].name);
        capture_clear(&all);
}

static void test_version(void **state)
{
        Capture capture;

        assert_int_equal(RUN(&capture, "list", "--version"), EXIT_OK);
        assert_ptr_equal(strstr(capture.out, "ackctl 0."), capture.out);
        capture_clear(&capture);
}

/* What options add to a call; read back from it. */
static char *append(const char *const *words, int *ret)
{
        _cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        char *argv[16] = {(char *) "ackctl"}, **rest, *text = NULL;
        Ctl c = {};
        uint64_t seen;
        int argc = 1, n, fds[2];
        size_t size;
        FILE *out;

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        while (words[argc - 1]) {
                argv[argc] = (char *) words[argc - 1];
                argc++;
        }
        assert_int_equal(options_parse(&c, argc, argv, &seen, &n, &rest), 0);
        assert_true(sd_bus_new(&bus) >= 0);
        assert_true(sd_bus_set_fd(bus, fds[0], fds[1]) >= 0);
        assert_true(sd_bus_start(bus) >= 0);
        assert_true(sd_bus_message_new_method_call(bus, &call, NULL, "/", "a.b", "C") >= 0);
        *ret = options_append(&c, call, n > 0 ? rest[0] : NULL, n > 1 ? rest[1] : NULL);
        if (*ret == 0) {
                assert_true(sd_bus_message_seal(call, 1, 0) >= 0);
                out = open_memstream(&text, &size);
                (void) sd_bus_message_dump(call, out, SD_BUS_MESSAGE_DUMP_SUBTREE_ONLY);
                (void) fclose(out);
                /* on one line, without types' brackets */
                for (char *p = text, *to = text;; p++) {
                        if (*p != ' ' && *p != '\n')
                                *to++ = *p;
                        if (*p == '\0')
                                break;
                }
        }
        options_clear(&c);
        return text;
}

#define APPEND(ret, ...) append((const char *const[]){__VA_ARGS__, NULL}, ret)

static void test_append(void **state)
{
        _cleanup_free_ char *all = NULL, *none = NULL, *stream = NULL, *clock = NULL;
        int r;

        all = APPEND(&r, "--key=k", "--quorum=2", "--label=a=b", "--label=c=d", "--include-plain",
                        "--follow-joins", "--in=10m", "--max-attempts=3", "--ack-timeout=5s", "--backoff=0",
                        "--backoff-max=1h", "--priority=9", "--idempotency-key=i", "--durability=memory");
        assert_int_equal(r, 0);
        static const char *const parts[] = {
                        "STRING\"key\";VARIANT\"s\"{STRING\"k\";}",
                        "STRING\"quorum\";VARIANT\"u\"{UINT322;}",
                        "STRING\"label\";VARIANT\"as\"{ARRAY\"s\"{STRING\"a=b\";STRING\"c=d\";};}",
                        "STRING\"include_plain\";VARIANT\"b\"{BOOLEANtrue;}",
                        "STRING\"follow_joins\";VARIANT\"b\"{BOOLEANtrue;}",
                        "STRING\"delay\";VARIANT\"t\"{UINT64600000000;}",
                        "STRING\"max_attempts\";VARIANT\"t\"{UINT643;}",
                        "STRING\"ack_timeout\";VARIANT\"t\"{UINT645000000;}",
                        "STRING\"backoff\";VARIANT\"t\"{UINT640;}",
                        "STRING\"backoff_max\";VARIANT\"t\"{UINT643600000000;}",
                        "STRING\"priority\";VARIANT\"u\"{UINT329;}",
                        "STRING\"idempotency_key\";VARIANT\"s\"{STRING\"i\";}",
                        "STRING\"durability\";VARIANT\"s\"{STRING\"memory\";}",
        };
        for (size_t i = 0; i < ELEMENTSOF(parts); i++)
                assert_contains(all, parts[i]);
        none = APPEND(&r, "--to=1", "--group=g", "--timeout=5s", "--json=short", "--file=f");
        assert_int_equal(r, 0);
        assert_null(strstr(none, "STRING"));
        clock = APPEND(&r, "--at=@1900000000", "--deadline=@1900000001");
        assert_contains(clock, "\"at\";VARIANT\"t\"{UINT641900000000000000;}");
        assert_contains(clock, "\"deadline\";VARIANT\"t\"{UINT641900000001000000;}");
        stream = APPEND(&r, "any", "blue", "--no-wait");
        assert_contains(stream, "\"mode\";VARIANT\"s\"{STRING\"any\";}");
        assert_contains(stream, "\"target\";VARIANT\"s\"{STRING\"blue\";}");
        assert_contains(stream, "\"settlements\";VARIANT\"b\"{BOOLEANfalse;}");
}

static void test_append_mistakes(void **state)
{
        static const struct {
                const char *word, *text;
        } cases[] = {
                        {"--quorum=two", "--quorum is a number, not \"two\""},
                        {"--max-attempts=-1", "--max-attempts is a number"},
                        {"--in=18:00", "--in is a time like 30s or 10m, not \"18:00\""},
                        {"--in=0", "--in is a time above 0"},
                        {"--at=10m", "--at is a time like 18:00"},
                        {"--at=2030-02-30 12:00", "--at is a time like 18:00"},
                        {"--deadline=late", "--deadline is a time like 10m or 18:00"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Capture capture;
                int r;

                capture_begin(&capture);
                assert_null(APPEND(&r, cases[i].word));
                capture_end(&capture);
                assert_int_equal(r, EXIT_USAGE);
                assert_contains(capture.err, cases[i].text);
                capture_clear(&capture);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_each_option_of_each_verb),
                        cmocka_unit_test(test_letters),
                        cmocka_unit_test(test_distance),
                        cmocka_unit_test(test_mistakes),
                        cmocka_unit_test(test_help),
                        cmocka_unit_test(test_version),
                        cmocka_unit_test(test_append),
                        cmocka_unit_test(test_append_mistakes),
        };

        assert(setlocale(LC_CTYPE, "C.UTF-8"));
        assert(setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1) == 0);
        assert(setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1) == 0);
        /* -H and -M start these */
        assert(setenv("PATH", "/nonexistent", 1) == 0);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
