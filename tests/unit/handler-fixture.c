/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handler-fixture.h"

#include "runtime/timer.h"
#include "runtime/warden.h"
#include "runtime/watch.h"
#include "sim/handler-acts.h"
#include "store/disk.h"
#include "world/memory.h"

Fixture fixture;

static Warden warden;
static Timer timer;
static Watch watch;

void fixture_begin(void)
{
        world_begin();
        memory_begin();
        fixture = (Fixture){.timeout_usec = 10 * USEC_PER_SEC};
        fixture.machine = machine_new("m0");
        fixture.process = process_new(fixture.machine, "r0");
}

void fixture_end(void)
{
        world_end();
}

static void on_line(const char *line, void *userdata)
{
        Order *o = userdata;

        o->n_lines++;
        str_copy(o->line, sizeof o->line, line);
}

static bool has_failed(int status)
{
        return !WIFEXITED(status) ||
               (WEXITSTATUS(status) != 0 && !status_is_reject((unsigned) WEXITSTATUS(status)));
}

static void take_output(const Order *o, const ChildResult *result)
{
        const void *before = result->output;

        process_fail_allocations(fixture.process, 1);
        _cleanup_free_ void *output = child_take_output(o->child);
        process_fail_allocations(fixture.process, 0);
        assert_ptr_equal(output, before);
}

static void on_done(const ChildResult *result, void *userdata)
{
        Order *o = userdata;

        o->n_done++;
        o->status = result->status;
        o->timed_out = result->timed_out;
        o->cut = result->cut;
        o->output_size = result->output_size;
        str_copy(o->output, MIN(sizeof o->output, result->output_size + 1), (const char *) result->output);
        if (o->takes_output)
                take_output(o, result);
        o->child = NULL;
        o->is_due = fixture.repeats && has_failed(o->status);
        o->is_flagged |= o->is_due;
        o->due_at = world_now() + 200 * USEC_PER_MSEC;
}

static void begin(Order *o)
{
        char *arguments[] = {(char *) "work", NULL};
        char *environment[] = {(char *) "HOME=/root", o->message,
                        (char *) "ACKGROUP_STREAM=00000000-0000-4000-8000-000000000001",
                        (char *) "ACKGROUP_SEQUENCE=18446744073709551615", (char *) "ACKGROUP_ATTEMPT=3",
                        (char *) "ACKGROUP_RECEIVER=00000000-0000-4000-8000-000000000002",
                        o->is_flagged ? (char *) "ACKGROUP_POSSIBLE_DUPLICATE=1" : NULL, NULL};
        const ChildSpec spec = {
                        .warden = &warden,
                        .path = "/fake/work",
                        .arguments = arguments,
                        .environment = environment,
                        .input = o->input,
                        .input_size = o->size,
                        .output_max = 1000,
                        .timeout_usec = fixture.timeout_usec,
                        .report = on_line,
        };

        o->n_runs++;
        o->error = child_spawn(fixture.loop, &spec, on_done, o, &o->child);
}

static void on_timer(void *userdata)
{
        for (unsigned i = 0; i < fixture.n; i++) {
                Order *o = fixture.orders + i;

                if (!o->is_due || world_now() < o->due_at)
                        continue;
                begin(o);
                o->is_due = o->error < 0 && fixture.repeats;
        }
        (void) timer_arm_in(&timer, USEC_PER_MSEC);
}

static void on_warden(uint32_t events, void *userdata)
{
        fixture.n_warden_deaths++;
        watch_pause(&watch, true);
}

static void on_stop(void *userdata)
{
        loop_exit(fixture.loop, 0);
}

static int receive(void *userdata)
{
        DiskFile *lock;

        assert_int_equal(disk_open("/m0/lock", &lock), 0);
        if (disk_lock(lock, 40 * USEC_PER_SEC) < 0)
                return 1;
        fixture.ready_at = world_now();
        for (unsigned i = 0; i < fixture.n; i++)
                if (fixture.orders[i].child) {
                        fixture.orders[i].child = NULL;
                        fixture.orders[i].is_due = fixture.repeats;
                        fixture.orders[i].is_flagged = true;
                }
        assert_int_equal(warden_start(disk_fd(lock), &warden), 0);
        assert_int_equal(loop_new(on_stop, NULL, &fixture.loop), 0);
        assert_int_equal(timer_init(&timer, fixture.loop, "orders", on_timer, NULL), 0);
        assert_int_equal(watch_start(&watch, fixture.loop, warden.pidfd, EPOLLIN, on_warden, NULL), 0);
        (void) timer_arm_in(&timer, 0);
        int status = loop_run(fixture.loop);
        for (unsigned i = 0; i < fixture.n; i++)
                fixture.orders[i].child = child_free(fixture.orders[i].child);
        disk_close(lock);
        timer_clear(&timer);
        watch_stop(&watch);
        warden_stop(&warden);
        fixture.loop = loop_free(fixture.loop);
        return status;
}

void fixture_restart(void)
{
        process_start(fixture.process, receive, NULL);
}

void fixture_start(void)
{
        fixture_restart();
        fixture_run(100);
}

Order *fixture_order(const void *input, size_t size)
{
        Order *o = fixture.orders + fixture.n++;

        assert(fixture.n <= ORDERS_MAX);
        o->input = input;
        o->size = size;
        o->is_due = true;
        (void) snprintf(o->message, sizeof o->message, "ACKGROUP_MESSAGE=00000000-0000-4000-8000-%012u",
                        fixture.n);
        return o;
}

void fixture_run(uint64_t usec)
{
        world_run(world_now() + usec, NULL, NULL);
}
