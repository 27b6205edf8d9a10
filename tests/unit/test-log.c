/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines that nobody reads, and lines that come too often. */

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd-util.h"
#include "base/log-limit.h"
#include "base/log-outlet.h"
#include "base/log.h"

static uint64_t now = 1000 * USEC_PER_SEC;

uint64_t now_usec(clockid_t clock)
{
        return now;
}

static int saved = -1, reader = -1;

/* Standard error is `fd` now, and `from` the other end. */
static void redirect(int fd, int from)
{
        saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
        assert_true(dup2(fd, STDERR_FILENO) >= 0);
        (void) close(fd);
        reader = from;
        assert_int_equal(fd_set_nonblock(reader, true), 0);
}

static int restore(void **state)
{
        if (saved >= 0) {
                assert_true(dup2(saved, STDERR_FILENO) >= 0);
                (void) close(saved);
                (void) close(reader);
        }
        saved = -1;
        log_on_wake(NULL, NULL);
        return 0;
}

static void redirect_pipe(void)
{
        int ends[2];

        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        redirect(ends[1], ends[0]);
}

/* All that can be read now. */
static const char *read_now(void)
{
        static char text[1 << 20];
        size_t n = 0;
        ssize_t k;

        while ((k = read(reader, text + n, sizeof text - 1 - n)) > 0)
                n += (size_t) k;
        text[n] = '\0';
        return text;
}

static unsigned count(const char *text, const char *part)
{
        unsigned n = 0;

        for (; (text = strstr(text, part)); text += strlen(part))
                n++;
        return n;
}

static unsigned n_wakes;

static void on_wake(void *userdata)
{
        n_wakes++;
}

/* Level debug has no limit, so it can fill everything. */
static void write_many(unsigned n)
{
        char text[1001];

        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = '\0';
        log_set_level(LOG_DEBUG);
        for (unsigned i = 0; i < n; i++)
                log_debug("%s", text);
        log_set_level(LOG_INFO);
}

static unsigned count_lost(const char *text)
{
        const char *end = strstr(text, " log lines are lost"), *begin = end;

        while (begin > text && begin[-1] != '\n')
                begin--;
        return end ? (unsigned) strtoul(begin, NULL, 10) : 0;
}

static void check_full(void)
{
        unsigned n = 0, lost = 0;
        const char *text;

        log_on_wake(on_wake, NULL);
        n_wakes = 0;
        write_many(2000); /* returns, although nobody reads */
        assert_true(n_wakes > 0);
        for (unsigned i = 0; i < 10; i++) {
                text = read_now();
                n += count(text, "x\n");
                lost += count_lost(text);
                if (log_tick() == USEC_INFINITY && i > 5)
                        break;
        }
        assert_in_range(n, OUTLET_SIZE / 1001, 1999);
        assert_int_equal(n + lost, 2000);
        log_info("behind it");
        assert_string_equal(read_now(), "behind it\n");
}

static void test_full_pipe(void **state)
{
        redirect_pipe();
        check_full();
}

static void test_full_socket(void **state)
{
        int ends[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        redirect(ends[1], ends[0]);
        check_full();
}

static void test_no_reader(void **state)
{
        redirect_pipe();
        (void) close(reader);
        reader = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
        (void) signal(SIGPIPE, SIG_IGN);
        write_many(100);
        log_finish();
        assert_int_equal(log_tick(), USEC_INFINITY);
}

static void complain(const char *what)
{
        log_warning("The %s is broken", what);
}

static void test_too_many_of_a_kind(void **state)
{
        const char *text;

        redirect_pipe();
        log_on_wake(on_wake, NULL);
        n_wakes = 0;
        for (unsigned i = 0; i < 5020; i++)
                complain("disk");
        log_error_errno(-ENOSPC, "Another kind");
        text = read_now();
        assert_int_equal(count(text, "is broken"), 20);
        assert_int_equal(count(text, "Another kind: No space left"), 1);
        assert_true(n_wakes > 0);
        assert_true(log_tick() <= LOG_LIMIT_USEC);
        assert_string_equal(read_now(), "");

        now += LOG_LIMIT_USEC;
        assert_int_equal(log_tick(), USEC_INFINITY);
        assert_string_equal(read_now(), "And 5,000 more like \"The disk is broken\"\n");
        complain("fan");
        assert_string_equal(read_now(), "The fan is broken\n");
}

/* Nobody calls log_tick(): the next line does its work. */
static void test_without_a_loop(void **state)
{
        redirect_pipe();
        now += LOG_LIMIT_USEC;
        for (unsigned i = 0; i < 30; i++)
                log_warning("Without a loop");
        assert_int_equal(count(read_now(), "Without a loop\n"), 20);
        now += LOG_LIMIT_USEC;
        log_warning("Without a loop");
        assert_non_null(strstr(read_now(), "more like \"Without a loop\""));
        log_warning("Without a loop");
        assert_string_equal(read_now(), "Without a loop\n");
}

/* The end of the program does not hide how many were left out. */
static void test_left_out_at_the_end(void **state)
{
        redirect_pipe();
        now += LOG_LIMIT_USEC;
        for (unsigned i = 0; i < 30; i++)
                log_warning("Near the end");
        log_finish();
        assert_non_null(strstr(read_now(), "And 10 more like \"Near the end\"\n"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_teardown(test_full_pipe, restore),
                        cmocka_unit_test_teardown(test_full_socket, restore),
                        cmocka_unit_test_teardown(test_no_reader, restore),
                        cmocka_unit_test_teardown(test_too_many_of_a_kind, restore),
                        cmocka_unit_test_teardown(test_without_a_loop, restore),
                        cmocka_unit_test_teardown(test_left_out_at_the_end, restore),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
