/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The file of runs, on a real disk, and processes that die. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "receiver/runs.h"

#define FILE_NAME "/runs"

static char path[] = "/tmp/ackgroup-runs-XXXXXX" FILE_NAME;
static RunsHome home = {.device = 1, .inode = 2};

static int setup(void **state)
{
        path[strlen(path) - strlen(FILE_NAME)] = '\0';
        if (!mkdtemp(path))
                return -1;
        path[strlen(path)] = '/';
        home = (RunsHome){.device = 1, .inode = 2};
        return 0;
}

static int teardown(void **state)
{
        (void) unlink(path);
        path[strlen(path) - strlen(FILE_NAME)] = '\0';
        (void) rmdir(path);
        strcpy(path + strlen(path) - strlen("XXXXXX"), "XXXXXX" FILE_NAME);
        return 0;
}

static Run run_of(uint64_t sequence)
{
        return (Run){.stream.bytes = {1},
                        .message.bytes = {(uint8_t) sequence},
                        .sequence = sequence,
                        .attempt = 3};
}

static Runs *start(void)
{
        Runs *r;

        assert_int_equal(runs_open(path, &home, &r), 0);
        return r;
}

/* A process begins these runs, ends the first `n_ended` of them, and dies. */
static void die_during(uint64_t first, uint64_t last, uint64_t n_ended)
{
        pid_t child = fork();
        int status;

        if (child == 0) {
                Runs *r = start();
                for (uint64_t i = first; i <= last; i++) {
                        const Run run = run_of(i);
                        Run *entry = runs_begin(r, &run);
                        if (i < first + n_ended)
                                runs_end(r, entry);
                }
                _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
}

static void test_alone(void **state)
{
        for (uint32_t deaths = 1; deaths <= 3; deaths++) {
                die_during(7, 9, 2);
                Runs *r = start();
                Run *run = runs_next_charged(r, NULL);
                assert_non_null(run);
                assert_int_equal(run->sequence, 9);
                assert_int_equal(run->attempt, 3);
                assert_int_equal(run->deaths, deaths);
                assert_null(runs_next_charged(r, run));
                assert_true(runs_is_suspect(r, run->stream, 9));
                runs_close(r);
                r = start(); /* the failure is not on disk yet */
                run = runs_next_charged(r, NULL);
                assert_non_null(run);
                runs_counted(r, run);
                runs_close(r);
                r = start();
                assert_null(runs_next_charged(r, NULL));
                assert_true(runs_is_suspect(r, run_of(9).stream, 9)); /* alone again, at the next attempt */
                runs_close(r);
        }
        Runs *r = start();
        const Run run = run_of(9);
        runs_end(r, runs_begin(r, &run));
        assert_false(runs_is_suspect(r, run.stream, 9));
        runs_close(r);
}

static void test_several(void **state)
{
        const Run second = run_of(2);

        die_during(1, 3, 1);
        Runs *r = start();
        assert_null(runs_next_charged(r, NULL));
        assert_false(runs_is_suspect(r, second.stream, 1));
        assert_true(runs_is_suspect(r, second.stream, 2));
        assert_true(runs_is_suspect(r, second.stream, 3));
        runs_end(r, runs_begin(r, &second));
        assert_false(runs_is_suspect(r, second.stream, 2));
        runs_close(r);
        die_during(3, 3, 0);
        r = start();
        assert_int_equal(runs_next_charged(r, NULL)->deaths, 2);
        runs_close(r);
}

static void test_could_not_be_started(void **state)
{
        const Run one = run_of(1), two = run_of(2);

        die_during(1, 1, 0);
        Runs *r = start();
        runs_counted(r, runs_next_charged(r, NULL));
        runs_not_begun(r, runs_begin(r, &one));
        runs_not_begun(r, runs_begin(r, &two));
        assert_true(runs_is_suspect(r, one.stream, 1));
        assert_false(runs_is_suspect(r, two.stream, 2));
        runs_close(r);
        die_during(1, 1, 0);
        r = start();
        assert_int_equal(runs_next_charged(r, NULL)->deaths, 2);
        runs_close(r);
}

/* Nothing is to blame when the machine lost power, and nothing has run in a copy of the directory. */
static void test_elsewhere(void **state)
{
        die_during(1, 1, 0);
        home.inode = 3;
        Runs *r = start();
        assert_null(runs_next_charged(r, NULL));
        runs_close(r);
        die_during(1, 1, 0);
        home.boot.bytes[0] = 1;
        r = start();
        assert_null(runs_next_charged(r, NULL));
        runs_close(r);
}

/* Whatever bit flips, nobody is charged but the message that ran. */
static void test_flipped_bit(void **state)
{
        unsigned n_charged = 0;

        for (long bit = 0; bit < 8 * (long) sizeof(Run); bit++) {
                die_during(1, 1, 0);
                FILE *file = fopen(path, "r+");
                assert_int_equal(fseek(file, (long) sizeof(Run) + bit / 8, SEEK_SET), 0);
                const int byte = fgetc(file);
                assert_int_equal(fseek(file, -1, SEEK_CUR), 0);
                (void) fputc(byte ^ 1 << (bit % 8), file);
                (void) fclose(file);

                Runs *r = start();
                const Run *run = runs_next_charged(r, NULL);
                assert_true(!run || (run->sequence == 1 && run->stream.bytes[0] == 1 && run->attempt == 3 &&
                                                    run->deaths == 1));
                n_charged += run != NULL;
                runs_clear(r);
                runs_close(r);
        }
        assert_int_equal(n_charged, 0);
}

static void test_an_orderly_end(void **state)
{
        const Run one = run_of(1);
        Runs *r = start();

        assert_non_null(runs_begin(r, &one));
        runs_close(r);
        r = start();
        assert_null(runs_next_charged(r, NULL));
        runs_close(r);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_alone, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_several, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_could_not_be_started, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_elsewhere, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_flipped_bit, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_an_orderly_end, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
