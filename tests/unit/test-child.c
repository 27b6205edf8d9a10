/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd-util.h"
#include "base/str-util.h"
#include "base/time-util.h"
#include "runtime/child-input.h"
#include "runtime/child.h"
#include "runtime/executable.h"

/* No test waits longer than this. */
#define PATIENCE_USEC (20 * USEC_PER_SEC)

typedef struct Run {
        Warden warden;
        Loop *loop;
        Child *child;
        bool ended;
        ChildResult result;
        char output[256];
} Run;

static int setup(void **state)
{
        Run *run = calloc(1, sizeof *run);

        (void) signal(SIGPIPE, SIG_IGN);
        *state = run;
        if (!run || loop_new(NULL, NULL, &run->loop) < 0)
                return -1;
        int lock = open("/dev/null", O_RDONLY | O_CLOEXEC);
        int r = warden_start(lock, &run->warden);
        (void) close(lock);
        return r;
}

static int teardown(void **state)
{
        Run *run = *state;

        warden_stop(&run->warden);
        loop_free(run->loop);
        free(run);
        return 0;
}

static void on_done(const ChildResult *result, void *userdata)
{
        Run *run = userdata;

        run->ended = true;
        run->result = *result;
        if (result->output_size > 0)
                memcpy(run->output, result->output, MIN(result->output_size, sizeof run->output - 1));
        free(child_take_output(run->child));
}

static int try_spawn(Run *run, const char *script, const char *input, size_t output_max, uint64_t timeout)
{
        char *arguments[] = {(char *) "sh", (char *) "-c", (char *) script, NULL};
        char *environment[] = {(char *) "PATH=/usr/bin:/bin", (char *) "WORD=brine", NULL};
        ChildSpec spec = {
                        .warden = &run->warden,
                        .path = "/bin/sh",
                        .arguments = arguments,
                        .environment = environment,
                        .input = input,
                        .input_size = strlen(input),
                        .output_max = output_max,
                        .timeout_usec = timeout,
        };

        memset(run->output, 0, sizeof run->output);
        return child_spawn(run->loop, &spec, on_done, run, &run->child);
}

static void spawn(Run *run, const char *script, const char *input, size_t output_max, uint64_t timeout)
{
        assert_int_equal(try_spawn(run, script, input, output_max, timeout), 0);
}

static void wait_end(Run *run)
{
        uint64_t until = now_usec(CLOCK_BOOTTIME) + PATIENCE_USEC;

        while (!run->ended) {
                assert_true(now_usec(CLOCK_BOOTTIME) < until);
                assert_true(loop_iterate(run->loop, USEC_PER_SEC) >= 0);
        }
}

static void test_in_and_out(void **state)
{
        Run *run = *state;

        spawn(run, "cat; echo \" $WORD\"", "some text", 100, USEC_INFINITY);
        wait_end(run);
        assert_true(WIFEXITED(run->result.status));
        assert_int_equal(WEXITSTATUS(run->result.status), 0);
        assert_string_equal(run->output, "some text brine\n");
        assert_false(run->result.cut || run->result.too_long);
}

/* With ever more descriptors left, until it works: what is said not to have begun has left no trace. */
static void test_out_of_descriptors(void **state)
{
        char path[] = "/tmp/test-child-XXXXXX";
        Run *run = *state;
        struct rlimit before, limit;
        struct stat st = {};
        int r, fd = mkstemp(path);

        assert_true(fd >= 0);
        _cleanup_free_ char *script = str_format("echo >%s", path);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        limit = before;
        limit.rlim_cur = (rlim_t) fd;
        do {
                limit.rlim_cur++;
                assert_true(limit.rlim_cur < (rlim_t) fd + 50);
                assert_int_equal(fstat(fd, &st), 0);
                assert_int_equal(st.st_size, 0);
                assert_int_equal(waitpid(-1, NULL, WNOHANG), 0);
                assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
                r = try_spawn(run, script, "", 100, USEC_INFINITY);
                assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        } while (r < 0);
        wait_end(run);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, 1);
        (void) unlink(path);
        (void) close(fd);
}

/* However many there may be here: it is given the usual limit, and none that is not its own. */
static void test_descriptors(void **state)
{
        Run *run = *state;
        struct rlimit before, limit;
        int leak = open("/dev/null", O_RDONLY);

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        limit = before;
        limit.rlim_cur = MIN(before.rlim_max, (rlim_t) 4096);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        _cleanup_free_ char *script = str_format("ulimit -n; test -e /proc/$$/fd/%d || echo none", leak);
        spawn(run, script, "", 100, USEC_INFINITY);
        wait_end(run);
        assert_string_equal(run->output, "1024\nnone\n");
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        (void) close(leak);
}

static void test_status(void **state)
{
        Run *run = *state;

        spawn(run, "exit 3", "", 100, USEC_INFINITY);
        wait_end(run);
        assert_int_equal(WEXITSTATUS(run->result.status), 3);

        run->ended = false;
        spawn(run, "kill -TERM $$", "", 100, USEC_INFINITY);
        wait_end(run);
        assert_true(WIFSIGNALED(run->result.status));
        assert_int_equal(WTERMSIG(run->result.status), SIGTERM);
        assert_false(run->result.timed_out);
}

/* Input that nobody reads, and far more of it than a pipe holds. */
static void test_input_unread(void **state)
{
        Run *run = *state;
        size_t size = 4u << 20;
        char *input = malloc(size + 1);

        assert_non_null(input);
        memset(input, 'x', size);
        input[size] = '\0';
        spawn(run, "exec true", input, 100, USEC_INFINITY);
        wait_end(run);
        assert_int_equal(run->result.status, 0);

        run->ended = false;
        spawn(run, "wc -c", input, 100, USEC_INFINITY);
        wait_end(run);
        assert_string_equal(run->output, "4194304\n");
        free(input);
}

/* A program must not take a part of its input for all of it, also if its receiver dies: all of it is there
 * at once, and then the end. */
static void test_input_is_whole(void **state)
{
        static const size_t sizes[] = {0, 1, 65536, 65537, 1u << 20, (1u << 20) + 1};

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                _cleanup_free_ char *input = malloc(sizes[i] + 1), *seen = NULL;
                size_t n;
                int fd;

                assert_non_null(input);
                memset(input, 'x', sizes[i]);
                assert_int_equal(child_input(input, sizes[i], &fd), 0);
                assert_int_equal(read_all(fd, sizes[i] + 1, &seen, &n), 0);
                assert_int_equal(n, sizes[i]);
                assert_memory_equal(seen, input, n);
                (void) close(fd);
        }
}

static void test_output_cut(void **state)
{
        Run *run = *state;

        spawn(run, "head -c 3000000 /dev/zero | tr '\\0' a", "", 10, USEC_INFINITY);
        wait_end(run);
        assert_int_equal(run->result.status, 0);
        assert_true(run->result.cut && run->result.too_long);
        assert_int_equal(run->result.output_size, 10);
        assert_string_equal(run->output, "aaaaaaaaaa");
}

/* Gone, or dead and waiting for a parent that never asks. */
static bool is_dead(pid_t pid)
{
        char text[256] = "";
        _cleanup_free_ char *path = str_format("/proc/%d/stat", (int) pid);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0)
                return true;
        (void) !read(fd, text, sizeof text - 1);
        const char *behind = strrchr(text, ')');
        return !behind || behind[2] == 'Z' || behind[2] == 'X';
}

static void test_timeout_kills_everything(void **state)
{
        Run *run = *state;

        spawn(run, "sleep 100 & echo $!; wait", "", 100, 300 * USEC_PER_MSEC);
        wait_end(run);
        assert_true(run->result.timed_out);
        assert_int_equal(WTERMSIG(run->result.status), SIGKILL);
        assert_true(is_dead((pid_t) atoi(run->output)));
}

/* What the command leaves behind neither delays the result nor lives on, though it holds the output open. */
static void test_left_behind(void **state)
{
        Run *run = *state;
        uint64_t begin = now_usec(CLOCK_BOOTTIME);

        spawn(run, "sleep 100 & echo $!", "", 100, USEC_INFINITY);
        wait_end(run);
        assert_int_equal(run->result.status, 0);
        assert_true(now_usec(CLOCK_BOOTTIME) - begin < PATIENCE_USEC);
        assert_true(is_dead((pid_t) atoi(run->output)));

        run->ended = false;
        spawn(run, "setsid sleep 100 & echo $!", "", 100, USEC_INFINITY);
        wait_end(run);
        assert_true(is_dead((pid_t) atoi(run->output)));
}

static void test_kill_and_free(void **state)
{
        Run *run = *state;

        spawn(run, "sleep 100", "", 100, USEC_INFINITY);
        child_kill(run->child);
        wait_end(run);
        assert_int_equal(WTERMSIG(run->result.status), SIGKILL);
        assert_false(run->result.timed_out);

        run->ended = false;
        spawn(run, "sleep 100", "", 100, USEC_INFINITY);
        child_free(run->child);
        for (unsigned i = 0; i < 3; i++)
                assert_true(loop_iterate(run->loop, 50 * USEC_PER_MSEC) >= 0);
        assert_false(run->ended);
}

/* The command begins with no signal blocked and none ignored, whatever we ignore or were told to. */
static void test_signals_are_reset(void **state)
{
        Run *run = *state;
        unsigned long long blocked, ignored;
        sigset_t set, before;

        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGTERM);
        (void) sigprocmask(SIG_BLOCK, &set, &before);
        void (*hangup)(int) = signal(SIGHUP, SIG_IGN);
        spawn(run, "grep -E '^Sig(Blk|Ign)' /proc/self/status", "", 100, USEC_INFINITY);
        (void) sigprocmask(SIG_SETMASK, &before, NULL);
        (void) signal(SIGHUP, hangup);
        wait_end(run);
        assert_int_equal(sscanf(run->output, "SigBlk: %llx SigIgn: %llx", &blocked, &ignored), 2);
        /* 32 and 33 are the C library's own; who starts the tests may have left them blocked. */
        assert_int_equal((blocked | ignored) & ~(3ull << 31), 0);
}

static void test_cannot_run(void **state)
{
        static const struct {
                const char *path;
                int error;
        } cases[] = {{"/nonexistent/x", ENOENT}, {"/etc/passwd", EACCES}, {"/proc/self/mem/x", ENOTDIR}};
        Run *run = *state;
        char *arguments[] = {(char *) "x", NULL}, *environment[] = {NULL};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const ChildSpec spec = {
                                .warden = &run->warden,
                                .path = cases[i].path,
                                .arguments = arguments,
                                .environment = environment,
                                .input = "",
                                .timeout_usec = USEC_INFINITY,
                };

                run->ended = false;
                assert_int_equal(child_spawn(run->loop, &spec, on_done, run, &run->child), 0);
                wait_end(run);
                assert_int_equal(WEXITSTATUS(run->result.status), 127);
                assert_int_equal(run->result.error, cases[i].error);
        }
}

/* As many as there may be, some of them with a child that is left over. */
static void test_many(void **state)
{
        Run *run = *state;
        static Run others[WARDS_MAX + 1];
        unsigned n = 0;

        for (; n < 300; n++) {
                others[n] = (Run){.loop = run->loop};
                char *arguments[] = {(char *) "sh", (char *) "-c",
                                n % 10 == 0 ? (char *) "setsid sleep 100 & exit 3" : (char *) "exit 3",
                                NULL};
                char *environment[] = {(char *) "PATH=/usr/bin:/bin", NULL};
                const ChildSpec spec = {
                                .warden = &run->warden,
                                .path = "/bin/sh",
                                .arguments = arguments,
                                .environment = environment,
                                .input = "",
                                .timeout_usec = USEC_INFINITY,
                };

                assert_int_equal(child_spawn(run->loop, &spec, on_done, others + n, &others[n].child), 0);
        }
        while (n-- > 0) {
                while (!others[n].ended)
                        assert_true(loop_iterate(run->loop, USEC_PER_SEC) >= 0);
                assert_int_equal(WEXITSTATUS(others[n].result.status), 3);
        }
        assert_int_equal(run->warden.n_unused, WARDS_MAX);
}

static void test_find_program(void **state)
{
        _cleanup_free_ char *sh = NULL, *absolute = NULL, *none = NULL;

        assert_int_equal(child_find_program("sh", &sh), 0);
        assert_int_equal(access(sh, X_OK), 0);
        assert_int_equal(child_find_program("/bin/sh", &absolute), 0);
        assert_string_equal(absolute, "/bin/sh");
        assert_int_equal(child_find_program("no-such-program-here", &none), -ENOENT);
        assert_int_equal(child_find_program("/etc/passwd", &none), -EACCES);
}

static void assert_explains(const char *path, int error, const char *hint)
{
        _cleanup_free_ char *why = executable_explain(path, error);

        assert_non_null(why);
        assert_non_null(strstr(why, hint));
}

/* Root may enter every directory, so somebody else looks. */
static void test_explain_what_is_closed(void **state)
{
        char directory[] = "/tmp/test-child-XXXXXX";
        int status;

        assert_non_null(mkdtemp(directory));
        _cleanup_free_ char *path = str_format("%s/handler", directory);
        assert_int_equal(chmod(directory, 0), 0);
        pid_t pid = fork();
        if (pid == 0) {
                if (geteuid() == 0 && setuid(65534) < 0)
                        _exit(EXIT_FAILURE);
                assert_explains(path, EACCES, "Permission denied (a directory of the path is closed)");
                _exit(EXIT_SUCCESS);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(rmdir(directory), 0);
        assert_explains("/run/user/no-such-user/handler", ENOENT, "(the file is not there)");
        assert_explains("/no/such/handler", ENOENT, "(the file is not there)");
        assert_explains("no-such-handler", ENOENT, "(it is in no directory of PATH)");
        assert_explains("/dev/null", EACCES, "(that is not a file)");
        assert_explains("/etc/passwd", EACCES, "(it is not executable: chmod +x)");
}

/* In memory, and with an interpreter in /proc, which is no file system of the list. */
static void test_local_programs(void **state)
{
        static const struct {
                const char *text;
                bool is_local;
        } cases[] = {{"x", true}, {"#!/proc/version -x\n", false}, {"#! /no/such/interpreter\n", false}};
        char path[] = "/dev/shm/test-child-XXXXXX";
        const int fd = mkstemp(path);

        assert_true(fd >= 0);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_int_equal(ftruncate(fd, 0), 0);
                assert_int_equal(pwrite(fd, cases[i].text, strlen(cases[i].text), 0), strlen(cases[i].text));
                assert_int_equal(executable_is_local(path), cases[i].is_local);
        }
        (void) close(fd);
        (void) unlink(path);
        assert_false(executable_is_local(path));
        assert_false(executable_is_local("/proc/version"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_in_and_out, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_out_of_descriptors, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_descriptors, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_status, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_input_unread, setup, teardown),
                        cmocka_unit_test(test_input_is_whole),
                        cmocka_unit_test_setup_teardown(test_output_cut, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_timeout_kills_everything, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_left_behind, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_kill_and_free, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_signals_are_reset, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_cannot_run, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
                        cmocka_unit_test(test_find_program),
                        cmocka_unit_test(test_local_programs),
                        cmocka_unit_test(test_explain_what_is_closed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
