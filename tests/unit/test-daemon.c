/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* src/daemon and runtime/service in the world of tests. */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include <cmocka.h>

#include "base/fd-util.h"
#include "base/log.h"
#include "base/str-util.h"
#include "daemon/database.h"
#include "daemon/listening.h"
#include "daemon/paths.h"
#include "daemon/program.h"
#include "runtime/service.h"
#include "store/registry.h"
#include "world/world.h"

/* A program that counts, and ends after ten seconds. */

typedef struct ToyConfig {
        unsigned number;
        char *name, *state_directory, *log_level;
} ToyConfig;

typedef struct Toy {
        ToyConfig *config;
        Loop *loop;
        Timer timer, hangup;
        bool is_free;
        unsigned n_reloads;
} Toy;

static Toy toy;
static char *file; /* the configuration */
static int start_result, exit_code, reload_result;

static void on_end(void *userdata)
{
        loop_exit(toy.loop, exit_code);
}

static void on_hangup(void *userdata)
{
        assert_int_equal(write_file_synced(file, "[Toy]\nNumber=8\n", 15, 0600), 0);
        world_signal(toy.loop, SIGHUP);
}

static void on_stop(void *userdata)
{
        loop_exit(toy.loop, 0);
}

static int toy_start(void *config, void **ret_root, Loop **ret_loop, Error *error)
{
        if (start_result != 0)
                return error_set(error, start_result, "refused");
        toy = (Toy){.config = config};
        assert_int_equal(loop_new(on_stop, &toy, &toy.loop), 0);
        assert_int_equal(timer_init(&toy.timer, toy.loop, "end", on_end, NULL), 0);
        assert_int_equal(timer_init(&toy.hangup, toy.loop, "hangup", on_hangup, NULL), 0);
        (void) timer_arm_in(&toy.timer, 10 * USEC_PER_SEC);
        (void) timer_arm_in(&toy.hangup, 5 * USEC_PER_SEC);
        *ret_root = &toy;
        *ret_loop = toy.loop;
        return 0;
}

static int toy_reload(void *root, void *config, Error *error)
{
        const ToyConfig *fresh = config;

        toy.n_reloads++;
        if (reload_result < 0)
                return reload_result;
        toy.config->number = fresh->number;
        return 0;
}

static unsigned last_number;

static void toy_free(void *root)
{
        last_number = toy.config->number;
        timer_clear(&toy.timer);
        timer_clear(&toy.hangup);
        loop_free(toy.loop);
        toy.is_free = true;
}

static int toy_check(const void *config, Error *error)
{
        return ((const ToyConfig *) config)->number == 13 ? error_set(error, -EINVAL, "13 brings bad luck")
                                                          : 0;
}

#define ITEM(key, type, field)                                                                              \
        {                                                                                                   \
                "Toy", key, type, offsetof(ToyConfig, field), 0, 0                                          \
        }
static const ConfItem items[] = {ITEM("Number", CONF_UNSIGNED, number), ITEM("Name", CONF_STRING, name),
                ITEM("StateDirectory", CONF_STRING, state_directory),
                ITEM("LogLevel", CONF_STRING, log_level), {}};
static const ConfTable table = {items, NULL};
static const Option rows[] = {{"number", "Number", OPTION_VALUE}, {}};
static const Options options = {.help = "help\n", .section = "Toy", .table = &table, .options = rows};
static const ToyConfig defaults = {.number = 5};
static const Program program = {
                .name = "toy",
                .options = &options,
                .defaults = &defaults,
                .config_size = sizeof defaults,
                .check = toy_check,
                .start = toy_start,
                .reload = toy_reload,
                .free = toy_free,
};

static int setup(void **state)
{
        world_begin();
        log_set_level(LOG_EMERG);
        toy = (Toy){};
        start_result = exit_code = reload_result = 0;
        file = str_format("%s/toy.conf", world_directory());
        return write_file_synced(file, "[Toy]\nName=x\n", 13, 0600);
}

static int teardown(void **state)
{
        free(file);
        world_end();
        return 0;
}

static int run(const char *option)
{
        char *argv[] = {(char *) "toy", (char *) "--config", file, (char *) (uintptr_t) option, NULL};

        return program_run(&program, option ? 4 : 3, argv);
}

static void test_runs_and_reloads(void **state)
{
        assert_int_equal(run(NULL), EXIT_SUCCESS);
        assert_true(toy.is_free);
        assert_int_equal(toy.n_reloads, 1);
        assert_int_equal(last_number, 8);
}

static void test_options_win_over_files(void **state)
{
        assert_int_equal(run("--number=6"), EXIT_SUCCESS);
        assert_int_equal(toy.n_reloads, 1);
        assert_int_equal(last_number, 6);
}

static void test_bad_reload_changes_nothing(void **state)
{
        reload_result = -EINVAL;
        assert_int_equal(run(NULL), EXIT_SUCCESS);
        assert_int_equal(toy.n_reloads, 1);
        assert_int_equal(last_number, 5);
}

static void test_exit_status(void **state)
{
        assert_int_equal(run("--number=13"), EX_CONFIG);
        assert_int_equal(run("--nonsense"), EX_CONFIG);
        start_result = -EIO;
        assert_int_equal(run(NULL), EXIT_FAILURE);
        start_result = EX_CONFIG;
        assert_int_equal(run(NULL), EX_CONFIG);
        assert_false(toy.is_free);
        start_result = 0;
        exit_code = 3;
        assert_int_equal(run(NULL), EXIT_FAILURE);
        exit_code = EX_CONFIG;
        assert_int_equal(run(NULL), EX_CONFIG);
        exit_code = 0;
        start_result = -EUCLEAN; /* the state is damaged: to start again would not help */
        assert_int_equal(run(NULL), EX_CONFIG);
}

/* The database. */

static void count(void *userdata)
{
        ++*(unsigned *) userdata;
}

static void on_saved(DbOp *op, int r)
{
        RegistryBatch *b = CONTAINER_OF(op, RegistryBatch, op);

        assert_int_equal(r, 0);
        b->op.done = NULL;
}

static void test_database(void **state)
{
        _cleanup_free_ char *path = str_format("%s/registry.db", world_directory());
        unsigned n_posts = 0;
        RegistryBatch batch;
        Database d = {};
        Error error = {};
        Loop *loop;
        Db *db = NULL;

        assert_true(database_is_alive(&d));
        assert_null(database_close(&d, NULL));
        assert_int_equal(loop_new(NULL, NULL, &loop), 0);
        assert_int_equal(registry_open(path, &db, &error), 0);
        assert_int_equal(database_start(&d, loop, db, count, &n_posts), 0);
        registry_batch_init(&batch);
        batch.op.done = on_saved;
        world_hold_disk(true);
        db_submit(db, &batch.op);
        world_settle();
        assert_true(n_posts > 0);
        assert_non_null(batch.op.done);
        assert_true(database_is_alive(&d));
        world_sleep(31 * USEC_PER_SEC);
        assert_false(database_is_alive(&d));
        world_hold_disk(false);
        world_settle();
        assert_null(batch.op.done);
        assert_true(database_is_alive(&d));
        batch.op.done = on_saved;
        db_submit(db, &batch.op);
        assert_null(database_close(&d, db)); /* finishes it */
        assert_null(batch.op.done);
        loop_free(loop);
}

/* Listening and paths. */

static int listen_on(ListenerSet *set, char **addresses, char **fallback, bool insecure, Error *error)
{
        return listening_open(set,
                        &(ListenSpec){.addresses = addresses,
                                        .defaults = fallback,
                                        .parse = address_parse,
                                        .allow_insecure = insecure},
                        error);
}

static void test_listening(void **state)
{
        char *one[] = {(char *) "unix:/one", NULL},
             *two[] = {(char *) "unix:/two", (char *) "tcp:127.0.0.1:0", NULL};
        char *open[] = {(char *) "tcp:0.0.0.0:1", NULL}, *bad[] = {(char *) "nonsense", NULL},
             *none[] = {NULL};
        ListenerSet set = {};
        Error error = {};

        assert_int_equal(listen_on(&set, one, two, false, &error), 0);
        assert_int_equal(set.n, 1);
        listeners_clear(&set);
        assert_int_equal(listen_on(&set, none, two, false, &error), 0);
        assert_int_equal(set.n, 2);
        assert_true(set.listeners[1].address.port > 0);
        listeners_clear(&set);
        assert_int_equal(listen_on(&set, NULL, none, false, &error), -ENXIO);
        assert_non_null(strstr(error.text, "Listen="));
        assert_int_equal(listen_on(&set, bad, two, false, &error), -EINVAL);
        assert_int_equal(listen_on(&set, open, two, false, &error), -EPERM);
        assert_non_null(strstr(error.text, "AllowInsecure="));
        listeners_clear(&set);
        assert_int_equal(listen_on(&set, open, two, true, &error), 0);
        listeners_clear(&set);
}

static void test_paths(void **state)
{
        _cleanup_free_ char *given = str_format("%s/a/b", world_directory()),
                            *wanted = str_format("%s/a/b/x.db", world_directory());
        _cleanup_free_ char *impossible = str_format("%s/below", file);
        _cleanup_free_ char *path = NULL, *other = NULL, *address = NULL;
        Error error = {};

        assert_int_equal(paths_state_file(given, "toy", "x.db", &path, &error), 0);
        assert_string_equal(path, wanted);
        assert_true(paths_state_file(impossible, "toy", "x.db", &other, &error) < 0);
        assert_non_null(strstr(error.text, impossible));
        assert_int_equal(setenv("RUNTIME_DIRECTORY", "/run/of:more", 1), 0);
        assert_int_equal(paths_socket(DISCOVERY_SOCKET, &address), 0);
        assert_string_equal(address, "unix:/run/of/discovery.sock");
        assert_int_equal(setenv("STATE_DIRECTORY", given, 1), 0);
        assert_int_equal(paths_state_file(NULL, "toy", "x.db", &other, &error), 0);
        assert_string_equal(other, wanted);
        (void) unsetenv("RUNTIME_DIRECTORY");
        (void) unsetenv("STATE_DIRECTORY");
}

/* The service manager. */

static bool alive;

static bool is_alive(void *userdata)
{
        return alive;
}

static void test_watchdog(void **state)
{
        Service s = {};
        Loop *loop;

        service_stop(&s);
        assert_int_equal(loop_new(NULL, NULL, &loop), 0);
        assert_int_equal(service_start(&s, loop, is_alive, NULL), 0);
        world_advance(60 * USEC_PER_SEC);
        assert_int_equal(world_n_alive(), 0);
        service_stop(&s);

        assert_int_equal(setenv("WATCHDOG_USEC", "10000000", 1), 0);
        alive = true;
        assert_int_equal(service_start(&s, loop, is_alive, NULL), 0);
        world_advance(11 * USEC_PER_SEC);
        assert_int_equal(world_n_alive(), 2);
        alive = false;
        world_advance(20 * USEC_PER_SEC);
        assert_int_equal(world_n_alive(), 2);
        service_stop(&s);
        (void) unsetenv("WATCHDOG_USEC");
        loop_free(loop);
}

static void test_asks_for_more_time(void **state)
{
        Service s = {};
        Loop *loop;

        assert_int_equal(loop_new(NULL, NULL, &loop), 0);
        assert_int_equal(service_start(&s, loop, NULL, NULL), 0);
        service_extend(&s, true);
        world_advance(11 * USEC_PER_SEC);
        assert_int_equal(world_n_extended(), 3);
        service_extend(&s, false);
        world_advance(60 * USEC_PER_SEC);
        assert_int_equal(world_n_extended(), 3);
        service_stop(&s);
        loop_free(loop);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_runs_and_reloads, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_options_win_over_files, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_bad_reload_changes_nothing, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_exit_status, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_database, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_listening, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_paths, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_watchdog, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_asks_for_more_time, setup, teardown),
        };

        return cmocka_run_group_tests_name("daemon", tests, NULL, NULL);
}
