/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/fd-util.h"
#include "base/str-util.h"
#include "runtime/conf-file.h"
#include "runtime/conf.h"
#include "runtime/connection.h"
#include "runtime/listen.h"
#include "runtime/timer.h"

typedef struct Fixture {
        char directory[64];
        Loop *loop;
} Fixture;

static int setup(void **state)
{
        Fixture *f = calloc(1, sizeof *f);

        (void) snprintf(f->directory, sizeof f->directory, "/tmp/test-runtime-XXXXXX");
        if (!mkdtemp(f->directory))
                return -1;
        *state = f;
        return loop_new(NULL, NULL, &f->loop);
}

static int teardown(void **state)
{
        Fixture *f = *state;
        char command[96];

        loop_free(f->loop);
        (void) snprintf(command, sizeof command, "rm -rf %s", f->directory);
        free(f);
        return system(command);
}

/* Runs the loop until `done`, at most some seconds. */
static void run_until(Loop *loop, const bool *done)
{
        for (unsigned i = 0; i < 2000 && !*done; i++)
                assert_true(loop_iterate(loop, 10 * USEC_PER_MSEC) >= 0);
        assert_true(*done);
}

/* Configuration */

typedef struct Settings {
        bool flag, second;
        unsigned number;
        uint64_t time;
        double probability;
        char **list;
        char **words;
        char *name;
} Settings;

static int check_listen(const char *value, Error *error)
{
        return strchr(value, ' ') ? error_set(error, -EINVAL, "\"%s\" has a blank", value) : 0;
}

static const ConfItem items[] = {
                {"Test", "Flag", CONF_BOOL, offsetof(Settings, flag), 0, 0},
                {"Test", "Number", CONF_UNSIGNED, offsetof(Settings, number), 1, 10},
                {"Test", "TimeSec", CONF_DURATION, offsetof(Settings, time), 0, 60 * USEC_PER_SEC},
                {"Test", "Probability", CONF_PROBABILITY, offsetof(Settings, probability), 0, 0},
                {"Test", "Listen", CONF_STRINGS, offsetof(Settings, list), .check = check_listen},
                {"Test", "Exec", CONF_WORDS, offsetof(Settings, words), 0, 0},
                {"Test", "Name", CONF_STRING, offsetof(Settings, name), 0, 0},
                {"Test", "Way", CONF_CHOICE, offsetof(Settings, second), 0, 0, {"cut", "reject"}},
                {},
};
static const char *const foreign[] = {"Other", NULL};
static const ConfTable table = {items, foreign};

static void settings_clear(Settings *s)
{
        strv_free(s->list);
        strv_free(s->words);
        free(s->name);
}

static int read_text(Fixture *f, const char *text, Settings *s, Error *error)
{
        char path[96];

        (void) snprintf(path, sizeof path, "%s/test.conf", f->directory);
        assert_int_equal(write_file_synced(path, text, strlen(text), 0600), 0);
        return conf_read(&table, path, false, s, error);
}

static void test_conf(void **state)
{
        Fixture *f = *state;
        Settings s = {};
        Error error = {};
        char path[96];

        (void) snprintf(path, sizeof path, "%s/test.conf.d", f->directory);
        assert_int_equal(mkdir(path, 0700), 0);
        (void) snprintf(path, sizeof path, "%s/test.conf.d/10.conf", f->directory);
        assert_int_equal(write_file_synced(path, "[Test]\nNumber=7\nListen=\nListen=c\n", 33, 0600), 0);

        assert_int_equal(read_text(f,
                                         "# "
                                         "comment\n[Other]\nwhatever=1\n[Test]\nFlag=yes\nNumber=3\nTimeSec="
                                         "1min\n"
                                         "Probability=50%\nListen=a\nListen=b\nExec=/bin/sh -c 'x "
                                         "y'\nName=n\nWay=reject\n",
                                         &s, &error),
                        0);
        assert_true(s.flag && s.second);
        assert_int_equal(s.number, 7); /* the drop-in has the last word */
        assert_int_equal(s.time, 60 * USEC_PER_SEC);
        assert_int_equal(strv_length(s.list), 1);
        assert_string_equal(s.list[0], "c");
        assert_string_equal(s.words[2], "x y");
        assert_string_equal(s.name, "n");
        settings_clear(&s);
}

/* What systemd.syntax(7) allows. */
static void test_conf_syntax(void **state)
{
        static const char text[] = "\xef\xbb\xbf\n  ; configura\xe7\xe3o\n\t# comment \\\n [Test] \r\n"
                                   "Exec = echo 'one ; two' # three \\\n"
                                   "# not a part of it\n"
                                   "   four\\\n\n"
                                   "  Name=indented; \n"
                                   "Listen=a=b\nListen= \nListen=c\nNumber=3";
        static const char *const words[] = {"echo", "one ; two", "#", "three", "four"};
        Settings s = {};
        Error error = {};

        assert_int_equal(read_text(*state, text, &s, &error), 0);
        assert_int_equal(strv_length(s.words), ELEMENTSOF(words));
        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                assert_string_equal(s.words[i], words[i]);
        assert_string_equal(s.name, "indented;");
        assert_int_equal(strv_length(s.list), 1);
        assert_string_equal(s.list[0], "c");
        assert_int_equal(s.number, 3);
        settings_clear(&s);
}

static void test_conf_format(void **state)
{
        static const char text[] = "[Test]\nFlag=yes\nNumber=3\nTimeSec=1500ms\nProbability=50%\nListen=a\n"
                                   "Listen=b\nExec=c 'd e'\nWay=reject\n";
        static const char *const values[] = {"yes", "3", "1500ms", "0.5", "a b", "c d e", "", "reject"};
        Settings s = {};
        Error error = {};

        assert_int_equal(read_text(*state, text, &s, &error), 0);
        for (size_t i = 0; items[i].key; i++) {
                _cleanup_free_ char *value = conf_format(items + i, &s);
                assert_string_equal(value, values[i]);
        }
        settings_clear(&s);
}

static void test_conf_errors(void **state)
{
        static const struct {
                const char *text, *says;
        } cases[] = {
                        {"[Test]\n\nNumbr=3\n", "test.conf:3: unknown key Numbr="},
                        {"[Tset]\nNumber=3\n", "unknown section [Tset]"},
                        {"[Test]\nNumber=11\n", "test.conf:2: Number=: 11 is outside of 1"},
                        {"[Test]\nNumber=x\n", "\"x\" is not a number"},
                        {"[Test]\nExec='a\n", "quotes closed"},
                        {"[Test]\nWay=cuts\n", "Way=: \"cuts\" is neither cut nor reject"},
                        {"[Test]\njust words\n", "neither [Section] nor Key=value"},
                        {"[Test]\nTimeSec=2min\n", "outside"},
                        {"[Test]\nListen=a\nListen=b c\n", "test.conf:3: Listen=: \"b c\" has a blank"},
                        {"Number=3\n", "test.conf:1: an assignment before the first [Section]"},
                        {"[Test]\n=3\n", "test.conf:2: neither [Section] nor Key=value"},
                        {"[Test] # no comment here\n", "test.conf:1: neither [Section]"},
                        {"[Test]\nNumber=3 ; no comment here\n", "\"3 ; no comment here\" is not a number"},
                        {"[Test]\n\nExec=a \\\n b \\\n 'c\nNumber=3\n", "test.conf:3: Exec="},
                        {"[Test]\nName=caf\xe9\n", "test.conf:2: not UTF-8 text"},
        };
        static char longest[CONF_LINE_MAX + 64];
        Error error = {};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Settings s = {};
                assert_true(read_text(*state, cases[i].text, &s, &error) < 0);
                if (!strstr(error.text, cases[i].says))
                        fail_msg("\"%s\" does not say \"%s\"", error.text, cases[i].says);
                settings_clear(&s);
        }

        Settings s = {};
        memset(longest, 'x', sizeof longest - 1);
        memcpy(longest, "[Test]\nName=", 12);
        assert_int_equal(read_text(*state, longest, &s, &error), -EINVAL);
        assert_non_null(strstr(error.text, "test.conf:2: line is longer than 65536 bytes"));
        settings_clear(&s);

        assert_int_equal(conf_read(&table, "/nonexistent/x.conf", false, &s, &error), -ENOENT);
        assert_int_equal(conf_read(&table, "/nonexistent/x.conf", true, &s, &error), 0);
        assert_int_equal(conf_set(&table, "Test", "Number", "0", "--number", &s, &error), -ERANGE);
        assert_non_null(strstr(error.text, "--number"));
}

/* Timers */

static void set_flag(void *userdata)
{
        *(bool *) userdata = true;
}

static void test_timer(void **state)
{
        Fixture *f = *state;
        bool fired = false;
        Timer t = {};

        timer_clear(&t); /* a zeroed one is fine */
        assert_int_equal(timer_init(&t, f->loop, "test", set_flag, &fired), 0);
        assert_false(timer_is_armed(&t));
        assert_int_equal(timer_arm_in(&t, USEC_INFINITY), 0);
        assert_false(timer_is_armed(&t));
        assert_int_equal(timer_arm_in(&t, 5 * USEC_PER_MSEC), 0);
        assert_true(timer_is_armed(&t));
        run_until(f->loop, &fired);
        assert_false(timer_is_armed(&t));
        timer_clear(&t);
}

/* Listening and streams */

typedef struct Peer {
        Connection *stream;
        size_t received;
        bool connected, ended, enough;
        size_t wanted;
        int error;
        bool free_when_readable;
} Peer;

static void on_connected(Connection *s, void *userdata)
{
        ((Peer *) userdata)->connected = true;
}

static void on_readable(Connection *s, void *userdata)
{
        Peer *p = userdata;

        p->received += buffer_size(connection_input(s));
        buffer_consume(connection_input(s), buffer_size(connection_input(s)));
        p->enough = p->received >= p->wanted;
        if (p->free_when_readable)
                p->stream = connection_free(s);
}

static void on_ended(Connection *s, int error, void *userdata)
{
        Peer *p = userdata;

        p->ended = true;
        p->error = error;
        p->stream = connection_free(s);
}

static const ConnectionCallbacks callbacks = {
                .connected = on_connected, .readable = on_readable, .ended = on_ended};

static void test_stream_bulk(void **state)
{
        enum { SIZE = 3 << 20 };
        Fixture *f = *state;
        int fds[2];
        Peer a = {}, b = {.wanted = SIZE};
        static char chunk[1 << 20];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(connection_new(f->loop, fds[0], &callbacks, &a, &a.stream), 0);
        assert_int_equal(connection_new(f->loop, fds[1], &callbacks, &b, &b.stream), 0);
        for (int i = 0; i < 3; i++)
                assert_int_equal(buffer_append(connection_output(a.stream), chunk, sizeof chunk), 0);
        connection_flush(a.stream);
        run_until(f->loop, &b.enough);
        assert_int_equal(b.received, SIZE);
        assert_int_equal(connection_output_size(a.stream), 0);

        /* The end of one side is told to the other, which frees itself in its callback. */
        a.stream = connection_free(a.stream);
        run_until(f->loop, &b.ended);
        assert_int_equal(b.error, 0);
        assert_null(b.stream);
}

static void test_stream_free_inside(void **state)
{
        Fixture *f = *state;
        int fds[2];
        Peer b = {.wanted = 1, .free_when_readable = true};

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(connection_new(f->loop, fds[1], &callbacks, &b, &b.stream), 0);
        assert_int_equal(write_all(fds[0], "x", 1), 0);
        run_until(f->loop, &b.enough);
        assert_null(b.stream);
        assert_int_equal(close(fds[0]), 0);
}

static void test_stream_pause(void **state)
{
        Fixture *f = *state;
        int fds[2];
        Peer b = {.wanted = 1};

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(connection_new(f->loop, fds[1], &callbacks, &b, &b.stream), 0);
        connection_pause(b.stream, true);
        assert_int_equal(write_all(fds[0], "x", 1), 0);
        for (int i = 0; i < 5; i++)
                assert_true(loop_iterate(f->loop, USEC_PER_MSEC) >= 0);
        assert_int_equal(b.received, 0);
        connection_pause(b.stream, false);
        run_until(f->loop, &b.enough);
        connection_free(b.stream);
        assert_int_equal(close(fds[0]), 0);
}

static void test_listen_and_connect(void **state)
{
        Fixture *f = *state;
        ListenerSet set = {};
        Address address = {.kind = ADDRESS_UNIX};
        Error error = {};
        struct stat st;

        (void) snprintf(address.host, sizeof address.host, "%s/deep/er/x.sock", f->directory);
        assert_int_equal(listeners_bind(&set, &address, 0660, &error), 0);
        assert_int_equal(stat(address.host, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0660);
        assert_int_equal(listeners_bind(&set, &address, 0660, &error), -EADDRINUSE);

        /* What a killed process leaves behind: the file without its listener. */
        (void) close_clear(&set.listeners[0].fd);
        assert_int_equal(listeners_bind(&set, &address, 0660, &error), 0);

        Address tcp;
        assert_int_equal(address_parse("tcp:127.0.0.1:0", &tcp, NULL), 0);
        assert_int_equal(listeners_bind(&set, &tcp, 0, &error), 0);
        assert_int_not_equal(set.listeners[2].address.port, 0);

        for (size_t i = 1; i < set.n; i++) {
                Peer a = {};
                assert_int_equal(connection_open(f->loop, &set.listeners[i].address, USEC_PER_SEC,
                                                 &callbacks, &a, &a.stream),
                                0);
                assert_false(a.connected); /* never from inside the call */
                run_until(f->loop, &a.connected);
                connection_free(a.stream);
        }

        /* A name is looked up, and all that it stands for is tried. */
        Peer named = {};
        assert_int_equal(address_parse("tcp:localhost:1", &tcp, NULL), 0);
        tcp.port = set.listeners[2].address.port;
        assert_int_equal(connection_open(f->loop, &tcp, USEC_PER_SEC, &callbacks, &named, &named.stream), 0);
        run_until(f->loop, &named.connected);
        connection_free(named.stream);
        assert_int_equal(connection_open(f->loop, &tcp, USEC_PER_SEC, &callbacks, &named, &named.stream), 0);
        connection_free(named.stream); /* before the answer */

        listeners_clear(&set);
        assert_int_equal(access(address.host, F_OK), -1);

        Peer refused = {};
        assert_int_equal(connection_open(f->loop, &address, USEC_PER_SEC, &callbacks, &refused,
                                         &refused.stream),
                        0);
        run_until(f->loop, &refused.ended);
        assert_int_equal(refused.error, -ENOENT);
}

static int get_option(int fd, int level, int option)
{
        int value = 0;
        socklen_t n = sizeof value;

        assert_int_equal(getsockopt(fd, level, option, &value, &n), 0);
        return value;
}

/* Connections of a host that has vanished must not stay for ever. */
static void test_accepted_silence(void **state)
{
        Fixture *f = *state;
        ListenerSet set = {};
        Error error = {};
        Address address;
        Peer a = {};

        assert_int_equal(address_parse("tcp:127.0.0.1:0", &address, NULL), 0);
        assert_int_equal(listeners_bind(&set, &address, 0, &error), 0);
        assert_int_equal(connection_open(f->loop, &set.listeners[0].address, USEC_PER_SEC, &callbacks, &a,
                                         &a.stream),
                        0);
        run_until(f->loop, &a.connected);
        int fd = accept(set.listeners[0].fd, NULL, NULL);
        assert_true(fd >= 0);
        assert_int_equal(get_option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
        assert_int_equal(get_option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
        assert_int_equal(get_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 15000);
        assert_in_range(get_option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 1, 15);
        (void) close(fd);
        connection_free(a.stream);
        listeners_clear(&set);
}

static void test_listen_security(void **state)
{
        Listener l = {.fd = -1};
        ListenerSet set = {&l, 1};
        Error error = {};

        assert_int_equal(address_parse("tcp:0.0.0.0:7481", &l.address, NULL), 0);
        assert_int_equal(listeners_check_security(&set, false, &error), -EPERM);
        assert_non_null(strstr(error.text, "AllowInsecure=yes"));
        assert_int_equal(listeners_check_security(&set, true, &error), 0);
        assert_int_equal(address_parse("tcp:[::1]:7481", &l.address, NULL), 0);
        assert_int_equal(listeners_check_security(&set, false, &error), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_conf, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_conf_syntax, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_conf_format, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_conf_errors, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_timer, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_stream_bulk, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_stream_free_inside, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_stream_pause, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_listen_and_connect, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_accepted_silence, setup, teardown),
                        cmocka_unit_test(test_listen_security),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
