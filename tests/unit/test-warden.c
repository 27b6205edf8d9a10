/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The warden, with real processes: nothing that it starts outlives it or the process that it serves. */

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/time-util.h"
#include "runtime/warden.h"

typedef struct Case {
        Ward ward;
        Warden warden;
        Loop *loop;
        int said[2]; /* a pipe that is the command's standard output */
        WardEnd end;
        bool has_ended;
} Case;

static void on_end(Ward *ward, const WardEnd *end)
{
        Case *c = CONTAINER_OF(ward, Case, ward);

        c->end = *end;
        c->has_ended = true;
}

static int setup(void **state)
{
        static Case c;

        c = (Case){.ward.ended = on_end};
        *state = &c;
        assert_int_equal(pipe2(c.said, O_CLOEXEC), 0);
        assert_int_equal(loop_new(NULL, NULL, &c.loop), 0);
        return warden_start(STDERR_FILENO, &c.warden);
}

static int teardown(void **state)
{
        Case *c = *state;

        warden_stop(&c->warden);
        warden_stop(&c->warden);
        loop_free(c->loop);
        (void) close(c->said[0]);
        (void) close(c->said[1]);
        return 0;
}

static void run(Case *c, const char *script, Ward *ward)
{
        char *arguments[] = {(char *) "sh", (char *) "-c", (char *) script, NULL};
        char *environment[] = {(char *) "PATH=/usr/bin:/bin", NULL};
        const WardSpec spec = {
                        .path = "/bin/sh",
                        .arguments = arguments,
                        .environment = environment,
                        .fds = {-1, c->said[1], -1, -1},
        };

        assert_int_equal(warden_run(&c->warden, c->loop, &spec, ward), 0);
}

/* The script must say "x" when everything runs. */
static void start(Case *c, const char *script)
{
        char byte;

        run(c, script, &c->ward);
        assert_int_equal(read(c->said[0], &byte, 1), 1);
}

/* Everybody who has the other end is dead. */
static void assert_nobody_lives(Case *c)
{
        char byte;

        (void) close(c->said[1]);
        c->said[1] = -1;
        assert_int_equal(fcntl(c->said[0], F_SETFL, O_NONBLOCK), 0);
        assert_int_equal(read(c->said[0], &byte, 1), 0);
}

static const char *const scripts[] = {
                "printf x; exec sleep 1000",
                "setsid sleep 1000 & timeout 600 sleep 1000 & printf x; wait",
                "(setsid sh -c '(setsid sleep 1000 &) ; printf x; exec sleep 1000' &) ; exec sleep 1000",
};

static void test_kill(void **state)
{
        Case *c = *state;

        for (size_t i = 0; i < ELEMENTSOF(scripts); i++) {
                c->has_ended = false;
                start(c, scripts[i]);
                warden_kill(&c->warden, &c->ward);
                while (!c->has_ended)
                        assert_true(loop_iterate(c->loop, USEC_PER_SEC) >= 0);
                assert_true(WIFSIGNALED(c->end.status) && WTERMSIG(c->end.status) == SIGKILL);
                assert_int_equal(c->end.error, 0);
        }
        assert_nobody_lives(c);
}

static void test_stop(void **state)
{
        Case *c = *state;

        for (size_t i = 0; i < ELEMENTSOF(scripts); i++)
                start(c, scripts[i]);
        warden_stop(&c->warden);
        assert_nobody_lives(c);
        assert_false(c->has_ended);
}

/* Then its children are ours, and must not outlive us. */
static void test_it_is_killed(void **state)
{
        Case *c = *state;

        for (size_t i = 0; i < ELEMENTSOF(scripts); i++)
                start(c, scripts[i]);
        assert_int_equal(kill(c->warden.pid, SIGTERM), 0); /* means nothing to it */
        assert_int_equal(kill(c->warden.pid, SIGKILL), 0);
        warden_stop(&c->warden);
        assert_nobody_lives(c);
}

/* Children that this process had before are not touched. */
static void test_others(void **state)
{
        Case *c = *state;
        int status;

        warden_stop(&c->warden);
        pid_t other = fork();
        if (other == 0) {
                (void) close(c->said[1]);
                for (;;)
                        (void) pause();
        }
        assert_int_equal(warden_start(STDERR_FILENO, &c->warden), 0);
        start(c, scripts[1]);
        assert_int_equal(kill(c->warden.pid, SIGKILL), 0);
        warden_stop(&c->warden);
        assert_nobody_lives(c);
        assert_int_equal(waitpid(other, &status, WNOHANG), 0);
        assert_int_equal(kill(other, SIGKILL), 0);
        assert_int_equal(waitpid(other, &status, 0), other);
}

typedef struct Other {
        Ward ward;
        bool has_ended;
} Other;

static void on_other_end(Ward *ward, const WardEnd *end)
{
        CONTAINER_OF(ward, Other, ward)->has_ended = true;
}

/* A process that does not die, such as one that hangs in the kernel. Only its own ward waits for it. */
static void test_one_does_not_die(void **state)
{
        Case *c = *state;
        Other before = {.ward.ended = on_other_end}, after = {.ward.ended = on_other_end};
        char text[32] = {};

        run(c, "exec sleep 1000", &before.ward);
        run(c, "setsid sleep 1000 & echo $!; wait", &c->ward);
        assert_true(read(c->said[0], text, sizeof text - 1) > 0);
        const pid_t stuck = atoi(text);
        /* It stays a zombie until its tracer has waited for it. */
        assert_int_equal(ptrace(PTRACE_SEIZE, stuck, NULL, NULL), 0);
        warden_kill(&c->warden, &c->ward);
        for (int i = 0; i < 5; i++)
                assert_true(loop_iterate(c->loop, 20 * USEC_PER_MSEC) >= 0);
        assert_false(c->has_ended);
        run(c, "exec true", &after.ward);
        for (int i = 0; i < 200 && !after.has_ended; i++)
                assert_true(loop_iterate(c->loop, 20 * USEC_PER_MSEC) >= 0);
        assert_true(after.has_ended);
        warden_kill(&c->warden, &before.ward);
        for (int i = 0; i < 200 && !before.has_ended; i++)
                assert_true(loop_iterate(c->loop, 20 * USEC_PER_MSEC) >= 0);
        assert_true(before.has_ended);
        assert_false(c->has_ended);
        assert_int_equal(waitpid(stuck, NULL, __WALL), stuck);
        while (!c->has_ended)
                assert_true(loop_iterate(c->loop, USEC_PER_SEC) >= 0);
        assert_nobody_lives(c);
}

/* It can die between the begin of a ward and its answer. The ward counts as begun. */
static void test_it_dies_before_its_answer(void **state)
{
        Case *c = *state;

        assert_int_equal(kill(c->warden.pid, SIGSTOP), 0);
        pid_t killer = fork();
        if (killer == 0) {
                for (int n = 0; n == 0;)
                        (void) ioctl(c->warden.fd, SIOCOUTQ, &n);
                _exit(kill(c->warden.pid, SIGKILL));
        }
        run(c, "exec true", &c->ward);
        assert_int_equal(waitpid(killer, NULL, 0), killer);
        assert_false(c->has_ended);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                        TEST(test_kill),
                        TEST(test_stop),
                        TEST(test_it_is_killed),
                        TEST(test_others),
                        TEST(test_one_does_not_die),
                        TEST(test_it_dies_before_its_answer),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
