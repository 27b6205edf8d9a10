/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Command lines over configuration files, and the directories that both are found in. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd-util.h"
#include "base/log.h"
#include "base/str-util.h"
#include "base/time-util.h"
#include "capture.h"
#include "config.h"
#include "runtime/conf-file.h"
#include "runtime/directories.h"
#include "runtime/options.h"

typedef struct Settings {
        bool flag;
        unsigned number;
        uint64_t time, size;
        double probability;
        char *name, *state_directory, *log_level;
        char **list, **command;
} Settings;

#define ITEM(key, type, field, min, max)                                                                    \
        {                                                                                                   \
                "Main", key, type, offsetof(Settings, field), min, max                                      \
        }
static const ConfItem items[] = {
                ITEM("Flag", CONF_BOOL, flag, 0, 0),
                ITEM("Number", CONF_UNSIGNED, number, 2, 9),
                ITEM("Time", CONF_DURATION, time, USEC_PER_SEC, 0),
                ITEM("Size", CONF_SIZE, size, 0, 1024),
                ITEM("Probability", CONF_PROBABILITY, probability, 0, 0),
                ITEM("Name", CONF_STRING, name, 0, 0),
                ITEM("List", CONF_STRINGS, list, 0, 0),
                ITEM("Command", CONF_WORDS, command, 0, 0),
                ITEM("StateDirectory", CONF_STRING, state_directory, 0, 0),
                ITEM("LogLevel", CONF_STRING, log_level, 0, 0),
                {},
};
static const char *const foreign[] = {"Other", NULL};
static const ConfTable table = {items, foreign};
static const Option rows[] = {
                {"flag", "Flag", OPTION_FLAG},
                {"number", "Number", OPTION_VALUE},
                {"time", "Time", OPTION_VALUE},
                {"size", "Size", OPTION_VALUE},
                {"probability", "Probability", OPTION_VALUE},
                {"name", "Name", OPTION_EARLY},
                {"list", "List", OPTION_VALUE},
                {},
};

static char *second_file(const void *object)
{
        const Settings *s = object;

        return s->name ? str_format("%s.conf", s->name) : NULL;
}

static const Options options = {
                .help = "the help\n",
                .section = "Main",
                .table = &table,
                .options = rows,
                .second_file = second_file,
                .words = "Command",
};

typedef struct Fixture {
        char directory[64];
        Settings settings;
        Error error;
} Fixture;

static int setup(void **state)
{
        static Fixture f;

        f = (Fixture){.directory = "/tmp/test-options-XXXXXX"};
        *state = &f;
        return mkdtemp(f.directory) && setenv("CONFIGURATION_DIRECTORY", f.directory, 1) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
        Fixture *f = *state;
        _cleanup_free_ char *command = str_format("rm -rf %s", f->directory);

        conf_clear(&table, &f->settings);
        assert_null(f->settings.list);
        log_set_level(LOG_INFO);
        return system(command);
}

static void write_conf(const Fixture *f, const char *name, const char *text)
{
        _cleanup_free_ char *path = str_format("%s/%s", f->directory, name);

        assert_int_equal(mkdir_parents(f->directory, 0700), 0);
        assert_int_equal(write_file_synced(path, text, strlen(text), 0600), 0);
}

#define READ(f, ...) read_words(f, (char *[]){(char *) "program", __VA_ARGS__ __VA_OPT__(, ) NULL})

static int read_words(Fixture *f, char **argv)
{
        f->error = (Error){};
        return options_read(&options, (int) strv_length(argv), argv, &f->settings, &f->error);
}

#define W(text) ((char *) (text))

static void test_files_then_options(void **state)
{
        Fixture *f = *state;

        write_conf(f, "ackgroup.conf",
                        "[Main]\nNumber=3\nTime=5s\nList=a\nList=b\nFlag=yes\n[Other]\nAny=thing\n");
        assert_int_equal(READ(f), 0);
        assert_int_equal(f->settings.number, 3);
        assert_true(f->settings.flag);
        assert_int_equal(strv_length(f->settings.list), 2);
        assert_int_equal(READ(f, W("--number"), W("4"), W("--list=c"), W("--list=d"), W("--flag=no"),
                                         W("--size=1K"), W("--probability=50%"), W("--"), W("run"),
                                         W("this")),
                        0);
        assert_int_equal(f->settings.number, 4);
        assert_int_equal(f->settings.time, 5 * USEC_PER_SEC);
        assert_int_equal(f->settings.size, 1024);
        assert_true(f->settings.probability == 0.5);
        assert_false(f->settings.flag);
        assert_int_equal(strv_length(f->settings.list), 2); /* the first replaces */
        assert_string_equal(f->settings.list[0], "c");
        assert_int_equal(strv_length(f->settings.command), 2);
        assert_string_equal(f->settings.command[1], "this");
}

static void test_second_file_and_drop_ins(void **state)
{
        Fixture *f = *state;
        _cleanup_free_ char *drop_in = str_format("%s/ackgroup.conf.d", f->directory);

        assert_int_equal(mkdir_parents(drop_in, 0700), 0);
        write_conf(f, "ackgroup.conf", "[Main]\nNumber=3\nTime=5\nSize=1\n");
        write_conf(f, "ackgroup.conf.d/1.conf", "[Main]\nNumber=4\nSize=2\n");
        write_conf(f, "x.conf", "[Main]\nNumber=5\n");
        assert_int_equal(READ(f, W("--name=x"), W("--flag")), 0);
        assert_int_equal(f->settings.number, 5);
        assert_int_equal(f->settings.size, 2);
        assert_true(f->settings.flag);
        assert_string_equal(f->settings.name, "x");
}

static void test_config_names_the_file(void **state)
{
        Fixture *f = *state;
        _cleanup_free_ char *path = str_format("%s/mine.conf", f->directory);

        write_conf(f, "ackgroup.conf", "[Main]\nNumber=3\n");
        write_conf(f, "mine.conf", "[Main]\nTime=7\n");
        assert_int_equal(READ(f, W("--config"), path), 0);
        assert_int_equal(f->settings.number, 0);
        assert_int_equal(f->settings.time, 7 * USEC_PER_SEC);
        assert_int_equal(READ(f, W("--config"), W("/nonexistent")), -ENOENT);
        assert_string_equal(f->error.text, "cannot read /nonexistent: No such file or directory");
}

static void test_help_and_version(void **state)
{
        Fixture *f = *state;
        Capture c;

        capture_begin(&c);
        int r = READ(f, W("--help")), v = READ(f, W("--version"));
        capture_end(&c);
        assert_int_equal(r, 1);
        assert_int_equal(v, 1);
        assert_non_null(strstr(c.out, "the help\nackgroup "));
        capture_clear(&c);
}

static void check_refused(Fixture *f, const char *option, int r, const char *text)
{
        Capture c;

        capture_begin(&c);
        int got = READ(f, W(option));
        capture_end(&c);
        capture_clear(&c);
        assert_int_equal(got, r);
        assert_string_equal(f->error.text, text);
}

static void test_refusals(void **state)
{
        Fixture *f = *state;

        check_refused(f, "--number=1", -ERANGE, "--number: 1 is outside of 2 to 9");
        check_refused(f, "--number=x", -EINVAL, "--number: \"x\" is not a number");
        check_refused(f, "--time=500ms", -ERANGE, "--time: 500ms is out of range");
        check_refused(f, "--size=2K", -ERANGE, "--size: 2K is outside of 0 to 1024");
        check_refused(f, "--flag=maybe", -EINVAL, "--flag: \"maybe\" is not yes or no");
        check_refused(f, "--nonsense", -EINVAL, "see --help");
}

static void test_unexpected_words(void **state)
{
        Options plain = options;
        Fixture *f = *state;
        char *argv[] = {W("program"), W("word"), NULL};

        plain.words = NULL;
        assert_int_equal(options_read(&plain, 2, argv, &f->settings, &f->error), -EINVAL);
        assert_string_equal(f->error.text, "unexpected argument \"word\"");
}

static void test_log_level(void **state)
{
        Fixture *f = *state;

        log_set_level(LOG_INFO);
        assert_int_equal(READ(f, W("--log-level=debug")), 0);
        assert_int_equal(log_get_level(), LOG_INFO);
        options_apply_log_level(&options, &f->settings);
        assert_int_equal(log_get_level(), LOG_DEBUG);
        assert_int_equal(READ(f, W("--state-dir=/s"), W("--log-level=err")), 0);
        options_apply_log_level(&options, &f->settings);
        assert_int_equal(log_get_level(), LOG_ERR);
        assert_string_equal(f->settings.state_directory, "/s");
}

static void check_conf_error(Fixture *f, const char *text, const char *error)
{
        _cleanup_free_ char *wanted = str_format("%s/ackgroup.conf:%s", f->directory, error);

        write_conf(f, "ackgroup.conf", text);
        assert_true(READ(f) < 0);
        assert_string_equal(f->error.text, wanted);
}

static void test_errors_in_files(void **state)
{
        Fixture *f = *state;
        static char line[CONF_LINE_MAX];

        check_conf_error(f, "[Main]\n\nNumber=x\n", "3: Number=: \"x\" is not a number");
        check_conf_error(f, "[Main]\nNumbers=3\n", "2: unknown key Numbers= in [Main]");
        check_conf_error(f, "[Mine]\nNumber=3\n", "2: unknown section [Mine]");
        check_conf_error(f, "[Main]\nCommand=\"open\n",
                        "2: Command=: \"\"open\" is not a command line with its quotes closed");
        check_conf_error(f, "[Main]\nnothing\n", "2: neither [Section] nor Key=value");
        memset(line, 'x', sizeof line - 1);
        line[sizeof line - 1] = '\0';
        _cleanup_free_ char *text = str_format("[Main]\nName=%s\n", line);
        write_conf(f, "ackgroup.conf", text);
        assert_int_equal(READ(f), -EINVAL);
        assert_non_null(strstr(f->error.text, "2: line is longer than"));
}

/* Directories. */

static void check_directory(int (*find)(char **ret), const char *wanted)
{
        char *directory = NULL;
        int r = find(&directory);

        if (!wanted)
                assert_int_equal(r, -ENXIO);
        else {
                assert_int_equal(r, 0);
                assert_string_equal(directory, wanted);
        }
        free(directory);
}

static void test_directories(void **state)
{
        bool root = geteuid() == 0;

        check_directory(directory_of_configuration, getenv("CONFIGURATION_DIRECTORY"));
        (void) unsetenv("CONFIGURATION_DIRECTORY");
        (void) unsetenv("RUNTIME_DIRECTORY");
        assert_int_equal(setenv("XDG_RUNTIME_DIR", "/run/user/7", 1), 0);
        assert_int_equal(setenv("HOME", "/home/x", 1), 0);
        (void) unsetenv("XDG_CONFIG_HOME");
        check_directory(directory_of_sockets, root ? "/run/ackgroup" : "/run/user/7/ackgroup");
        check_directory(directory_of_configuration,
                        root ? ACKGROUP_SYSCONFDIR "/ackgroup" : "/home/x/.config/ackgroup");
        (void) unsetenv("XDG_RUNTIME_DIR");
        check_directory(directory_of_sockets, root ? "/run/ackgroup" : NULL);
        assert_int_equal(setenv("RUNTIME_DIRECTORY", "/run/a:/run/b", 1), 0);
        check_directory(directory_of_sockets, "/run/a");
}

static void test_state_directory(void **state)
{
        Fixture *f = *state;
        _cleanup_free_ char *given = str_format("%s/state", f->directory);
        char *directory = NULL;

        assert_int_equal(setenv("STATE_DIRECTORY", given, 1), 0);
        assert_int_equal(directory_of_state("role", &directory), 0);
        assert_string_equal(directory, given);
        assert_int_equal(access(given, W_OK), 0);
        free(directory);
        (void) unsetenv("STATE_DIRECTORY");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_files_then_options, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_second_file_and_drop_ins, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_config_names_the_file, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_help_and_version, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_unexpected_words, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_log_level, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_errors_in_files, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_directories, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_state_directory, setup, teardown),
        };

        return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
