/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Ends of connections, inherited listeners, lookups that fail, and the reports of children: with the real
 * kernel. */

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str-util.h"
#include "base/time-util.h"
#include "runtime/child.h"
#include "runtime/connection.h"
#include "runtime/listen.h"
#include "runtime/lookup.h"

typedef struct Fixture {
        Loop *loop;
        Connection *connection;
        int peer;
        bool half_closed, drained, ended, done;
        int error;
        char lines[256];
} Fixture;

static void on_readable(Connection *c, void *userdata)
{
}

static void on_half_closed(Connection *c, void *userdata)
{
        ((Fixture *) userdata)->half_closed = true;
}

static void on_drained(Connection *c, void *userdata)
{
        ((Fixture *) userdata)->drained = true;
}

static void on_ended(Connection *c, int error, void *userdata)
{
        Fixture *f = userdata;

        f->ended = true;
        f->error = error;
}

static const ConnectionCallbacks callbacks = {.readable = on_readable,
                .half_closed = on_half_closed,
                .drained = on_drained,
                .ended = on_ended};

static int setup(void **state)
{
        static Fixture f;
        int fds[2];

        f = (Fixture){};
        *state = &f;
        assert_int_equal(loop_new(NULL, NULL, &f.loop), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(connection_new(f.loop, fds[0], &callbacks, &f, &f.connection), 0);
        f.peer = fds[1];
        return 0;
}

static int teardown(void **state)
{
        Fixture *f = *state;

        connection_free(f->connection);
        if (f->peer >= 0)
                (void) close(f->peer);
        loop_free(f->loop);
        return 0;
}

static void run_until(Fixture *f, const bool *done)
{
        for (unsigned i = 0; i < 2000 && !*done; i++)
                assert_true(loop_iterate(f->loop, 10 * USEC_PER_MSEC) >= 0);
        assert_true(*done);
}

static void check_read(int fd, const char *text)
{
        char got[64] = "";

        assert_int_equal(read(fd, got, sizeof got), (ssize_t) strlen(text));
        assert_string_equal(got, text);
}

static void test_half_closed(void **state)
{
        Fixture *f = *state;

        assert_int_equal(shutdown(f->peer, SHUT_WR), 0);
        run_until(f, &f->half_closed);
        assert_int_equal(buffer_append(connection_output(f->connection), "still", 5), 0);
        connection_flush(f->connection);
        run_until(f, &f->drained);
        check_read(f->peer, "still");
        connection_shutdown(f->connection);
        check_read(f->peer, "");
        assert_false(f->ended);
}

static void test_last_words(void **state)
{
        Fixture *f = *state;

        connection_write_now(f->connection); /* nothing to write */
        assert_int_equal(buffer_append(connection_output(f->connection), "bye", 3), 0);
        connection_write_now(f->connection);
        check_read(f->peer, "bye");
        assert_int_equal(connection_output_size(f->connection), 0);
        assert_false(f->drained);
}

static void test_peer_is_gone(void **state)
{
        Fixture *f = *state;

        assert_int_equal(buffer_append(connection_output(f->connection), "x", 1), 0);
        connection_flush(f->connection);
        (void) close(f->peer);
        f->peer = -1;
        run_until(f, &f->ended);
        assert_int_equal(f->error, -EPIPE);
}

static void test_refuse(void **state)
{
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        connection_refuse(fds[0], "no", 2);
        check_read(fds[1], "no");
        check_read(fds[1], "");
        (void) close(fds[1]);
}

static void test_is_possible(void **state)
{
        Address a;

        assert_int_equal(address_parse("unix:/nonexistent/socket", &a, NULL), 0);
        assert_false(connection_is_possible(&a));
        assert_int_equal(address_parse("tcp:host.example:1", &a, NULL), 0);
        assert_true(connection_is_possible(&a));
}

/* Sockets from systemd are the descriptors from 3 on; whatever has them now is put aside. */

static int inherit(int fd, ListenerSet *set, Error *error)
{
        int aside = fcntl(3, F_DUPFD_CLOEXEC, 20), r;
        char pid[24];

        assert_true(dup2(fd, 3) == 3);
        (void) snprintf(pid, sizeof pid, "%d", getpid());
        assert_int_equal(setenv("LISTEN_PID", pid, 1), 0);
        assert_int_equal(setenv("LISTEN_FDS", "1", 1), 0);
        r = listeners_inherit(set, error);
        listeners_clear(set);
        (void) close(3);
        if (aside >= 0)
                (void) dup3(aside, 3, O_CLOEXEC);
        (void) close(aside);
        return r;
}

static void test_inherited_sockets(void **state)
{
        ListenerSet bound = {}, set = {};
        Error error = {};
        Address a;
        int fds[2];

        assert_int_equal(listeners_inherit(&set, &error), 0);
        assert_int_equal(address_parse("tcp:127.0.0.1:0", &a, NULL), 0);
        assert_int_equal(listeners_bind(&bound, &a, 0, &error), 0);
        assert_int_equal(listener_accept(bound.listeners), -EAGAIN);
        assert_int_equal(inherit(fcntl(bound.listeners[0].fd, F_DUPFD_CLOEXEC, 30), &set, &error), 1);
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        assert_int_equal(inherit(fds[0], &set, &error), -EINVAL);
        assert_string_equal(error.text, "descriptor 3 from systemd is not a listening stream socket");
        (void) close(fds[0]);
        (void) close(fds[1]);
        listeners_clear(&bound);
}

static void test_cannot_listen(void **state)
{
        ListenerSet set = {};
        Error error = {};
        Address a;

        assert_int_equal(address_parse("tcp:host.example:1", &a, NULL), 0);
        assert_int_equal(listeners_bind(&set, &a, 0, &error), -EINVAL);
        assert_string_equal(error.text, "cannot listen on tcp:host.example:1: give the host as a number");
        assert_int_equal(address_parse("unix:/dev/null", &a, NULL), 0);
        assert_int_equal(listeners_bind(&set, &a, 0600, &error), -EEXIST);
        assert_int_equal(set.n, 0);
}

static void on_answer(const LookupAnswer *answer, void *userdata)
{
        Fixture *f = userdata;

        f->error = answer->error;
        f->done = true;
}

/* The resolver. */
static int resolver_says;

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
        errno = EIO;
        return resolver_says;
}

static void check_lookup(Fixture *f, int code, int error)
{
        Lookup *l = NULL;
        Address a;

        resolver_says = code;
        f->done = false;
        assert_int_equal(address_parse("tcp:name.example:1", &a, NULL), 0);
        assert_int_equal(lookup_start(f->loop, &a, on_answer, f, &l), 0);
        run_until(f, &f->done);
        assert_int_equal(f->error, error);
        assert_null(lookup_free(l));
}

static void test_lookup(void **state)
{
        Fixture *f = *state;
        Lookup *l = NULL;
        Address a;

        check_lookup(f, EAI_NONAME, -EHOSTUNREACH);
        check_lookup(f, EAI_AGAIN, -EAGAIN);
        check_lookup(f, EAI_MEMORY, -ENOMEM);
        check_lookup(f, EAI_SYSTEM, -EIO);
        f->done = false;
        assert_int_equal(address_parse("tcp:name.example:1", &a, NULL), 0);
        assert_int_equal(lookup_start(f->loop, &a, on_answer, f, &l), 0);
        assert_null(lookup_free(l));
        assert_true(loop_iterate(f->loop, USEC_PER_MSEC) >= 0);
        assert_false(f->done); /* nobody hears of it */
}

static void on_line(const char *line, void *userdata)
{
        Fixture *f = userdata;

        assert_true(strlen(f->lines) + strlen(line) + 2 < sizeof f->lines);
        strcat(f->lines, line);
        strcat(f->lines, ";");
}

static void on_child(const ChildResult *result, void *userdata)
{
        ((Fixture *) userdata)->done = true;
}

/* Whole lines, whatever the pieces in which they come; long ones are left out. The last one needs no end. */
static void test_reports_of_a_child(void **state)
{
        char *arguments[] = {(char *) "sh", (char *) "-c",
                        (char *) "printf 'one\\ntw' >&3; printf 'o\\n' >&3; printf '%1001s\\n' x >&3; "
                                 "printf '\\nlast\\r\\nopen' >&3",
                        NULL};
        char *environment[] = {(char *) "PATH=/usr/bin:/bin", NULL};
        Warden warden;
        const ChildSpec spec = {
                        .warden = &warden,
                        .path = "/bin/sh",
                        .arguments = arguments,
                        .environment = environment,
                        .timeout_usec = 20 * USEC_PER_SEC,
                        .report = on_line,
        };
        Fixture *f = *state;
        Child *child;

        assert_int_equal(warden_start(STDERR_FILENO, &warden), 0);
        assert_int_equal(child_spawn(f->loop, &spec, on_child, f, &child), 0);
        run_until(f, &f->done);
        warden_stop(&warden);
        assert_string_equal(f->lines, "one;two;;last;open;");
}

/* Somebody deletes the file of a socket, or puts another one there. */
static void test_a_lost_file(void **state)
{
        char directory[] = "/tmp/test-listen-XXXXXX";
        ListenerSet set = {}, other = {};
        Address address = {.kind = ADDRESS_UNIX};
        Error error = {};
        struct stat st;

        assert_non_null(mkdtemp(directory));
        (void) snprintf(address.host, sizeof address.host, "%s/x.sock", directory);
        assert_int_equal(listeners_bind(&set, &address, 0660, &error), 0);
        assert_false(listener_is_lost(set.listeners));
        assert_int_equal(unlink(address.host), 0);
        assert_true(listener_is_lost(set.listeners));
        assert_int_equal(listener_renew(set.listeners, &error), 0);
        assert_false(listener_is_lost(set.listeners));
        assert_int_equal(stat(address.host, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0660);

        assert_int_equal(unlink(address.host), 0);
        assert_int_equal(listeners_bind(&other, &address, 0660, &error), 0);
        assert_true(listener_is_lost(set.listeners));
        assert_int_equal(listener_renew(set.listeners, &error), -EADDRINUSE);
        listeners_clear(&set);
        assert_int_equal(access(address.host, F_OK), 0); /* it belongs to the other one */
        listeners_clear(&other);
        assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_half_closed, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_last_words, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_peer_is_gone, setup, teardown),
                        cmocka_unit_test(test_refuse),
                        cmocka_unit_test(test_is_possible),
                        cmocka_unit_test(test_inherited_sockets),
                        cmocka_unit_test(test_cannot_listen),
                        cmocka_unit_test(test_a_lost_file),
                        cmocka_unit_test_setup_teardown(test_lookup, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_reports_of_a_child, setup, teardown),
        };

        return cmocka_run_group_tests_name("connection", tests, NULL, NULL);
}
