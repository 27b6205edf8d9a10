/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Processes, threads and machines of a world (world/process.h), with memory that goes with its process. */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/time-util.h"
#include "runtime/timer.h"
#include "world/memory.h"
#include "world/process.h"

typedef struct Daemon {
        Process *process;
        Loop *loop;
        Timer timer;
        unsigned n_ticks, n_ends, n_stops;
        bool killed;
        int status;
} Daemon;

static Daemon d;
static Machine *machine;

static void on_end(Process *p, bool killed, int status, void *userdata)
{
        d.n_ends++;
        d.killed = killed;
        d.status = status;
}

static int setup(void **state)
{
        world_begin();
        memory_begin();
        d = (Daemon){};
        machine = machine_new("m0");
        d.process = process_new(machine, "daemon");
        process_on_end(on_end, NULL);
        return 0;
}

static int teardown(void **state)
{
        world_end();
        return 0;
}

static void on_tick(void *userdata)
{
        d.n_ticks++;
        assert_non_null(malloc(100)); /* lost, until the process ends */
        (void) timer_arm_in(&d.timer, USEC_PER_SEC);
}

static void on_stop(void *userdata)
{
        d.n_stops++;
        loop_exit(d.loop, 7);
}

static int tick(void *userdata)
{
        int status;

        assert_int_equal(loop_new(on_stop, NULL, &d.loop), 0);
        assert_int_equal(timer_init(&d.timer, d.loop, "tick", on_tick, NULL), 0);
        (void) timer_arm_in(&d.timer, USEC_PER_SEC);
        status = loop_run(d.loop);
        timer_clear(&d.timer);
        loop_free(d.loop);
        return status;
}

static void run_for(uint64_t usec)
{
        world_run(world_now() + usec, NULL, NULL);
}

static void test_ends(void **state)
{
        process_start(d.process, tick, NULL);
        run_for(3500 * USEC_PER_MSEC);
        assert_int_equal(d.n_ticks, 3);
        assert_true(process_is_up(d.process));
        assert_true(process_n_objects(d.process) >= 3);
        process_signal(d.process, SIGTERM);
        run_for(USEC_PER_SEC);
        assert_int_equal(d.n_stops, 1);
        assert_int_equal(d.n_ends, 1);
        assert_false(d.killed);
        assert_int_equal(d.status, 7);
        assert_int_equal(process_n_objects(d.process), 0);

        process_start(d.process, tick, NULL);
        run_for(1500 * USEC_PER_MSEC);
        process_kill(d.process);
        assert_int_equal(d.n_ends, 2);
        assert_true(d.killed);
        assert_int_equal(process_n_objects(d.process), 0);
        run_for(10 * USEC_PER_SEC);
        assert_int_equal(d.n_ticks, 4);
        assert_int_equal(process_starts(d.process), 2);
}

static void test_freezes(void **state)
{
        process_start(d.process, tick, NULL);
        run_for(1500 * USEC_PER_MSEC);
        process_freeze(d.process, true);
        run_for(10 * USEC_PER_SEC);
        assert_int_equal(d.n_ticks, 1);
        process_freeze(d.process, false);
        run_for(500 * USEC_PER_MSEC);
        assert_int_equal(d.n_ticks, 2);
        machine_suspend(machine, true);
        run_for(10 * USEC_PER_SEC);
        assert_int_equal(d.n_ticks, 2);
        machine_suspend(machine, false);
        run_for(500 * USEC_PER_MSEC);
        assert_int_equal(d.n_ticks, 3);
}

static void test_dies_at_a_call(void **state)
{
        process_start(d.process, tick, NULL);
        run_for(500 * USEC_PER_MSEC);
        process_kill_at(d.process, 3);
        run_for(10 * USEC_PER_SEC);
        assert_int_equal(d.n_ticks, 3);
        assert_true(d.killed);
}

static int allocate(void *userdata)
{
        int n = 0;

        process_fail_allocations(d.process, 2);
        for (unsigned i = 0; i < 100; i++) {
                void *volatile p = malloc(8); /* so that no compiler leaves it out */

                n += p == NULL;
        }
        return n;
}

static void test_runs_out_of_memory(void **state)
{
        process_start(d.process, allocate, NULL);
        run_for(USEC_PER_SEC);
        assert_in_range(d.status, 20, 80);
}

static void test_power(void **state)
{
        process_start(d.process, tick, NULL);
        run_for(1500 * USEC_PER_MSEC);
        sd_id128_t before = machine_boot_id(machine);
        machine_power_off(machine, FAKE_LOSE);
        assert_false(process_is_up(d.process));
        process_start(d.process, tick, NULL);
        assert_false(process_is_up(d.process));
        machine_power_on(machine);
        assert_false(sd_id128_equal(before, machine_boot_id(machine)));
        process_start(d.process, tick, NULL);
        run_for(1500 * USEC_PER_MSEC);
        assert_int_equal(d.n_ticks, 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_freezes, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_dies_at_a_call, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_runs_out_of_memory, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_power, setup, teardown),
        };

        return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
