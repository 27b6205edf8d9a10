/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Handlers of simulated receivers (world/process-child.h). */

#include "handler-fixture.h"

typedef struct Seen {
        TestChild *child; /* the newest that has begun and is not dead */
        unsigned n_began, n_died, n_killed, n_calls;
        uint64_t began_at, died_at, called_at;
        uint64_t ends_in; /* USEC_INFINITY: never */
        int status;
        const char *output;
        bool forks;
} Seen;
static Seen seen;

static void on_call(TestChild *c)
{
        seen.n_calls++;
        seen.called_at = world_now();
        if (c->is_running)
                world_child_end(c, seen.status, seen.output);
}

static void on_began(TestChild *c, Process *receiver, void *userdata)
{
        assert_ptr_equal(receiver, fixture.process);
        assert_null(process_current());
        seen.child = c;
        seen.n_began++;
        seen.began_at = world_now();
        if (seen.forks)
                child_fork(c);
        if (seen.ends_in != USEC_INFINITY)
                child_call_in(c, seen.ends_in, on_call);
}

static void on_died(TestChild *c, Process *receiver, bool killed, void *userdata)
{
        assert_ptr_equal(receiver, fixture.process);
        seen.child = NULL;
        seen.n_died++;
        seen.n_killed += killed;
        seen.died_at = world_now();
}

static int setup(void **state)
{
        fixture_begin();
        seen = (Seen){.ends_in = USEC_PER_SEC};
        child_set_script(on_began, on_died, NULL);
        child_set_warden_delay(20 * USEC_PER_MSEC, 20 * USEC_PER_MSEC);
        fixture_start();
        return 0;
}

static int teardown(void **state)
{
        child_set_script(NULL, NULL, NULL);
        fixture_end();
        return 0;
}

static Order *order(void)
{
        Order *o = fixture_order("input", 5);

        fixture_run(2 * USEC_PER_MSEC);
        return o;
}

static void test_ends_by_itself(void **state)
{
        child_set_start_delay(30 * USEC_PER_MSEC, 30 * USEC_PER_MSEC);
        size_t n_objects = process_n_objects(fixture.process),
               n_descriptors = process_n_descriptors(fixture.process);
        Order *o = order();
        uint64_t before = world_now();

        seen.status = 3;
        seen.output = "a reply";
        assert_int_equal(seen.n_began, 0);
        fixture_run(40 * USEC_PER_MSEC);
        assert_int_equal(seen.n_began, 1);
        assert_in_range(seen.began_at, before + 28 * USEC_PER_MSEC, before + 31 * USEC_PER_MSEC);
        assert_string_equal(seen.child->input, "input");
        assert_string_equal(seen.child->path, "/fake/work");
        assert_string_equal(seen.child->arguments[0], "work");
        assert_null(seen.child->arguments[1]);
        assert_string_equal(world_environment(seen.child, "HOME"), "/root");
        assert_string_equal(world_environment(seen.child, "ACKGROUP_ATTEMPT"), "3");
        assert_int_equal(child_n_alive(), 1);
        fixture_run(2 * USEC_PER_SEC);
        assert_int_equal(seen.n_died, 1);
        assert_int_equal(seen.n_killed, 0);
        assert_int_equal(seen.died_at, seen.began_at + USEC_PER_SEC);
        assert_int_equal(o->n_done, 1);
        assert_int_equal(WEXITSTATUS(o->status), 3);
        assert_string_equal(o->output, "a reply");
        assert_int_equal(child_n_alive(), 0);
        assert_int_equal(process_n_objects(fixture.process), n_objects);
        assert_int_equal(process_n_descriptors(fixture.process), n_descriptors);
}

static void test_time_limit(void **state)
{
        fixture.timeout_usec = 500 * USEC_PER_MSEC;
        Order *o = order();

        fixture_run(2 * USEC_PER_SEC);
        assert_int_equal(seen.n_killed, 1);
        assert_int_equal(seen.n_calls, 0);
        assert_int_equal(WTERMSIG(o->status), SIGKILL);
        assert_true(o->timed_out);
        assert_in_range(seen.died_at - seen.began_at, 499 * USEC_PER_MSEC, 502 * USEC_PER_MSEC);
}

/* It ended before the receiver could see that its time was over. */
static void test_late_time_limit(void **state)
{
        fixture.timeout_usec = 1500 * USEC_PER_MSEC;
        Order *o = order();

        process_freeze(fixture.process, true);
        fixture_run(2 * USEC_PER_SEC);
        assert_int_equal(seen.n_died, 1);
        assert_int_equal(o->n_done, 0);
        process_freeze(fixture.process, false);
        fixture_run(USEC_PER_MSEC);
        assert_int_equal(o->n_done, 1);
        assert_int_equal(seen.n_killed, 0);
        assert_false(o->timed_out);
        assert_int_equal(o->status, 0);
}

/* They run on until the warden kills them; before that nobody gets the lock. */
static void test_receiver_is_killed(void **state)
{
        order();
        process_kill(fixture.process);
        uint64_t before = world_now();
        assert_int_equal(seen.n_died, 0);
        assert_false(child_has_receiver(seen.child));
        assert_false(child_report(seen.child, "x\n", 2));
        fixture_start();
        fixture_run(100 * USEC_PER_MSEC);
        assert_int_equal(seen.n_killed, 1);
        assert_int_equal(seen.died_at, before + 20 * USEC_PER_MSEC);
        assert_in_range(fixture.ready_at, seen.died_at, seen.died_at + 20 * USEC_PER_MSEC);
        fixture_run(2 * USEC_PER_SEC);
        assert_int_equal(seen.n_calls, 0);
        assert_int_equal(seen.n_died, 1);

        /* It may end before that. */
        seen.ends_in = 12 * USEC_PER_MSEC;
        order();
        process_kill(fixture.process);
        fixture_run(100 * USEC_PER_MSEC);
        assert_int_equal(seen.n_died, 2);
        assert_int_equal(seen.n_killed, 1);
        assert_int_equal(child_n_alive(), 0);
}

static void test_input_is_cut_off(void **state)
{
        /* The receiver dies at the end of the spawn. */
        fixture_order("input", 5);
        process_kill_at(fixture.process, 2);
        fixture_run(USEC_PER_SEC);
        assert_false(process_is_up(fixture.process));
        assert_int_equal(fixture.orders[0].n_runs, 1);
        assert_int_equal(seen.n_began + seen.n_died, 0);
        assert_int_equal(child_n_alive(), 0);
}

static void test_power(void **state)
{
        order();
        process_kill(fixture.process);
        fixture_run(5 * USEC_PER_MSEC);
        machine_power_off(fixture.machine, FAKE_LOSE);
        assert_int_equal(seen.n_killed, 1);
        assert_int_equal(seen.died_at, world_now());
        machine_power_on(fixture.machine);
        fixture_start();
        fixture_run(USEC_PER_MSEC);
        assert_in_range(fixture.ready_at, seen.died_at, world_now());
        order();
        machine_power_off(fixture.machine, FAKE_LOSE);
        assert_int_equal(seen.n_killed, 2);
        assert_int_equal(child_n_alive(), 0);
        fixture_run(USEC_PER_SEC);
}

static void test_suspended(void **state)
{
        Order *o = order();

        fixture_run(500 * USEC_PER_MSEC);
        machine_suspend(fixture.machine, true);
        fixture_run(3 * USEC_PER_SEC);
        assert_int_equal(seen.n_died, 0);
        machine_suspend(fixture.machine, false);
        fixture_run(400 * USEC_PER_MSEC);
        assert_int_equal(seen.n_died, 0);
        fixture_run(200 * USEC_PER_MSEC);
        assert_int_equal(o->n_done, 1);

        /* So does the warden. */
        order();
        process_kill(fixture.process);
        fixture_run(5 * USEC_PER_MSEC);
        machine_suspend(fixture.machine, true);
        fixture_run(3 * USEC_PER_SEC);
        assert_int_equal(seen.n_killed, 0);
        machine_suspend(fixture.machine, false);
        fixture_run(14 * USEC_PER_MSEC);
        assert_int_equal(seen.n_killed, 0);
        fixture_run(2 * USEC_PER_MSEC);
        assert_int_equal(seen.n_killed, 1);
}

static void test_descendants(void **state)
{
        seen.forks = true;
        Order *o = order();

        /* Its receiver kills it when it sees the end of the leader. */
        process_freeze(fixture.process, true);
        fixture_run(2 * USEC_PER_SEC);
        assert_false(seen.child->is_running);
        child_call_in(seen.child, 500 * USEC_PER_MSEC, on_call);
        fixture_run(USEC_PER_SEC);
        assert_int_equal(seen.n_calls, 2);
        assert_int_equal(seen.n_died, 0);
        child_call_in(seen.child, 500 * USEC_PER_MSEC, on_call);
        process_freeze(fixture.process, false);
        fixture_run(USEC_PER_MSEC);
        assert_int_equal(seen.n_died, 1);
        assert_int_equal(seen.n_killed, 0);
        assert_int_equal(o->n_done, 1);
        assert_int_equal(o->status, 0);
        fixture_run(USEC_PER_SEC);
        assert_int_equal(seen.n_calls, 2);

        /* Or the warden does. */
        order();
        process_freeze(fixture.process, true);
        fixture_run(2 * USEC_PER_SEC);
        process_kill(fixture.process);
        fixture_run(19 * USEC_PER_MSEC);
        assert_int_equal(seen.n_died, 1);
        fixture_run(2 * USEC_PER_MSEC);
        assert_int_equal(seen.n_died, 2);
        assert_int_equal(seen.n_killed, 0);
}

static void test_reports(void **state)
{
        static char much[70000];
        Order *o = order();

        assert_true(child_report(seen.child, "progress 1\nprog", 15));
        assert_int_equal(o->n_lines, 0);
        fixture_run(100);
        assert_int_equal(o->n_lines, 1);
        assert_string_equal(o->line, "progress 1");
        assert_true(child_report(seen.child, "ress 2\nwith \0 in it\n", 20));
        memset(much, 'x', sizeof much);
        assert_true(child_report(seen.child, much, 1001));
        assert_true(child_report(seen.child, "\nprogress 3", 11));
        fixture_run(100);
        assert_int_equal(o->n_lines, 2);
        assert_string_equal(o->line, "progress 2");

        /* Nobody reads. */
        process_freeze(fixture.process, true);
        assert_true(child_report(seen.child, "\n", 1));
        assert_false(child_report(seen.child, much, 65536));
        memset(much, '\n', sizeof much);
        assert_true(child_report(seen.child, much, 60000));
        fixture_run(2 * USEC_PER_SEC);
        process_freeze(fixture.process, false);
        fixture_run(USEC_PER_MSEC);
        assert_int_equal(o->n_done, 1);
        assert_int_equal(o->n_lines, 60003);
}

static void test_output_limit(void **state)
{
        static char text[2000];
        Order *o = order();

        memset(text, 'x', sizeof text - 1);
        seen.output = text;
        fixture_run(2 * USEC_PER_SEC);
        assert_true(o->cut);
        assert_int_equal(o->output_size, 1000);
}

/* Without memory for the output it is cut, but the handler has succeeded. */
static void test_no_memory_for_output(void **state)
{
        Order *o = order();

        seen.output = "a reply";
        process_fail_allocations(fixture.process, 1);
        fixture_run(2 * USEC_PER_SEC);
        assert_int_equal(o->n_done, 1);
        assert_int_equal(o->status, 0);
        assert_true(o->cut);
        assert_int_equal(o->output_size, 0);
}

/* What was read is the reply: nobody needs memory for a copy. */
static void test_output_is_taken(void **state)
{
        Order *o = order();

        o->takes_output = true;
        seen.output = "a reply";
        fixture_run(2 * USEC_PER_SEC);
        assert_int_equal(o->n_done, 1);
        assert_false(o->cut);
        assert_string_equal(o->output, "a reply");
}

/* A handler cannot end before its output fits into the pipe. */
static void test_long_output(void **state)
{
        static char text[70000];
        Order *o = order();

        memset(text, 'x', sizeof text - 1);
        seen.output = text;
        process_freeze(fixture.process, true);
        fixture_run(2 * USEC_PER_SEC);
        assert_int_equal(seen.n_calls, 1);
        assert_int_equal(seen.n_died, 0);
        process_freeze(fixture.process, false);
        fixture_run(100);
        assert_int_equal(seen.n_died, 1);
        assert_int_equal(seen.n_killed, 0);
        assert_int_equal(o->n_done, 1);
        assert_true(o->cut);

        order();
        process_freeze(fixture.process, true);
        fixture_run(2 * USEC_PER_SEC);
        process_kill(fixture.process);
        assert_int_equal(seen.n_killed, 1);
}

static void on_kill_time(void *userdata)
{
        child_kill(fixture.orders[fixture.n - 1].child);
}

/* A handler that is killed may end by itself meanwhile. */
static void test_dies_a_moment_later(void **state)
{
        unsigned n_killed = 0;

        seen.ends_in = 50 * USEC_PER_MSEC;
        for (unsigned i = 0; i < 100; i++) {
                Order *o = order();

                world_call_at(seen.began_at + seen.ends_in - 20, on_kill_time, NULL, NULL);
                fixture_run(100 * USEC_PER_MSEC);
                assert_int_equal(o->n_done, 1);
                assert_int_equal(seen.n_died, i + 1);
                assert_true(WIFEXITED(o->status) || WTERMSIG(o->status) == SIGKILL);
                assert_int_equal(seen.n_killed, n_killed + (unsigned) WIFSIGNALED(o->status));
                n_killed = seen.n_killed;
        }
        assert_in_range(n_killed, 10, 90);
}

static void test_cannot_begin(void **state)
{
        static const int errors[] = {-EAGAIN, -ENOMEM, -EMFILE};

        for (size_t i = 0; i < ELEMENTSOF(errors); i++) {
                child_set_spawn_error(fixture.process, errors[i]);
                assert_int_equal(order()->error, errors[i]);
        }
        child_set_spawn_error(fixture.process, 0);
        assert_int_equal(order()->error, 0);
        assert_int_equal(seen.n_began, 1);
        process_fail_allocations(fixture.process, 1);
        assert_int_equal(order()->error, -ENOMEM);
        process_fail_allocations(fixture.process, 0);

        /* The warden is dead. */
        fixture_run(2 * USEC_PER_SEC);
        assert_int_equal(fixture.n_warden_deaths, 0);
        child_kill_warden(fixture.process);
        fixture_run(USEC_PER_MSEC);
        assert_int_equal(fixture.n_warden_deaths, 1);
        assert_int_equal(order()->error, -EPIPE);
        assert_int_equal(seen.n_began, 1);
        assert_int_equal(child_n_alive(), 0);
}

static void test_receiver_stops(void **state)
{
        order();
        process_signal(fixture.process, SIGTERM);
        fixture_run(USEC_PER_MSEC);
        assert_int_equal(seen.n_killed, 1);
        fixture_run(20 * USEC_PER_MSEC);
        assert_false(process_is_up(fixture.process));
        assert_int_equal(child_n_alive(), 0);
        fixture_start();
        assert_true(process_is_up(fixture.process));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                        TEST(test_ends_by_itself),
                        TEST(test_time_limit),
                        TEST(test_late_time_limit),
                        TEST(test_receiver_is_killed),
                        TEST(test_input_is_cut_off),
                        TEST(test_power),
                        TEST(test_suspended),
                        TEST(test_descendants),
                        TEST(test_reports),
                        TEST(test_output_limit),
                        TEST(test_no_memory_for_output),
                        TEST(test_output_is_taken),
                        TEST(test_long_output),
                        TEST(test_dies_a_moment_later),
                        TEST(test_cannot_begin),
                        TEST(test_receiver_stops),
        };

        return cmocka_run_group_tests_name("sim-child", tests, NULL, NULL);
}
