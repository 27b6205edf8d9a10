/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The warden, with real processes: it kills the groups that were announced and have not ended. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "receiver/warden.h"

/* A process that leads its own group, has announced it, and waits to be killed. */
static pid_t start_handler(const Warden *w)
{
        int fds[2];
        char byte;

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void) setpgid(0, 0);
                if (warden_begin(w, getpid()) < 0 || write(fds[1], "", 1) != 1)
                        _exit(1);
                (void) close(w->fd); /* as exec does */
                for (;;)
                        (void) pause();
        }
        assert_int_equal(read(fds[0], &byte, 1), 1);
        (void) close(fds[0]);
        (void) close(fds[1]);
        return pid;
}

static void test_kills_what_runs(void **state)
{
        Warden w = {};
        int lock = open("/dev/null", O_RDONLY | O_CLOEXEC), status;

        assert_int_equal(warden_start(lock, &w), 0);
        assert_true(w.pid > 0 && w.pidfd >= 0);
        pid_t running = start_handler(&w), ended = start_handler(&w);
        warden_end(&w, ended);
        warden_stop(&w);
        assert_int_equal(w.pid, 0);
        assert_int_equal(waitpid(running, &status, 0), running);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_int_equal(waitpid(ended, &status, WNOHANG), 0);
        assert_int_equal(kill(ended, SIGKILL), 0);
        assert_int_equal(waitpid(ended, &status, 0), ended);
        warden_stop(&w);
        (void) close(lock);
}

/* As many as it may be: its list grows. */
static void test_many(void **state)
{
        Warden w = {};
        int lock = open("/dev/null", O_RDONLY | O_CLOEXEC), status;
        pid_t pids[100];

        assert_int_equal(warden_start(lock, &w), 0);
        for (size_t i = 0; i < ELEMENTSOF(pids); i++)
                pids[i] = start_handler(&w);
        warden_stop(&w);
        for (size_t i = 0; i < ELEMENTSOF(pids); i++)
                assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        (void) close(lock);
}

static void test_its_end_is_seen(void **state)
{
        Warden w = {};
        int lock = open("/dev/null", O_RDONLY | O_CLOEXEC);

        assert_int_equal(warden_start(lock, &w), 0);
        assert_int_equal(kill(w.pid, SIGTERM), 0); /* means nothing to it */
        assert_int_equal(kill(w.pid, SIGKILL), 0);
        warden_stop(&w);
        (void) close(lock);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_kills_what_runs),
                        cmocka_unit_test(test_many),
                        cmocka_unit_test(test_its_end_is_seen),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
