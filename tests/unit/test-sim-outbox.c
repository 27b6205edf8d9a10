/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The outbox in a process on the disk of a machine. The process is killed anywhere and starts again, so that
 * it finds what its predecessor wrote but did not sync; then the power goes. What was promised is there. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/time-util.h"
#include "store/outbox.h"
#include "world/disk.h"
#include "world/memory.h"
#include "world/process.h"

#define PATH         "/m0/c/outbox"
#define MESSAGES_MAX 20000u

static const char payload[3000];

static Machine *machine;
static Process *process;
static bool promised[MESSAGES_MAX], refused[MESSAGES_MAX], asked[MESSAGES_MAX];
static unsigned n_promised, n_refused, n_revived, n_lost, n_made_up, last_number, n_opened,
                one_in; /* one in so many is for the tables */
static bool dies_when_refused;
static int last_status;

static void on_end(Process *p, bool killed, int status, void *userdata)
{
        last_status = killed ? 1000 : status;
}

static int setup(void **state)
{
        world_begin();
        memory_begin();
        machine = machine_new("m0");
        process = process_new(machine, "c");
        process_on_end(on_end, NULL);
        disk_set_speed(machine, 1, 20, 100, 2000);
        dies_when_refused = false;
        memset(promised, 0, sizeof promised);
        memset(asked, 0, sizeof asked);
        memset(refused, 0, sizeof refused);
        n_promised = n_refused = n_revived = n_lost = n_made_up = last_number = n_opened = 0;
        return 0;
}

static int teardown(void **state)
{
        world_end();
        return 0;
}

static unsigned draw(unsigned n)
{
        return (unsigned) world_random(n);
}

/* In the process. */

static void on_client(sd_id128_t id, uint64_t number, uint64_t n_open, uint64_t n_dead, void *userdata)
{
}

static int on_bound(OutboxRecord *record, void *userdata)
{
        return 0;
}

static int on_queued(const char *queue, uint64_t n, void *userdata)
{
        return 0;
}

static int on_stream(sd_id128_t id, sd_id128_t to, void *userdata)
{
        return 0;
}

static int on_receiver(sd_id128_t id, const char *record, bool departed, void *userdata)
{
        return 0;
}

static void on_done(DbOp *op, int result)
{
}

static int do_op(Db *db, DbOp *op)
{
        op->done = on_done;
        db_submit(db, op);
        db_kick(db);
        while (db_pending(db) > 0) {
                thread_pause(50);
                db_dispatch(db);
        }
        return op->result;
}

static void check(Db *db)
{
        OutboxFindOp o;
        bool found[MESSAGES_MAX] = {};

        outbox_find_op_init(&o, OUTBOX_NEWEST, MESSAGES_MAX);
        o.number = INT64_MAX;
        o.states = UINT32_MAX;
        assert_int_equal(do_op(db, &o.op), 0);
        for (size_t i = 0; i < o.n_records; i++)
                found[o.records[i].number] = true;
        outbox_records_free(o.records, o.n_records);
        for (unsigned i = 0; i < MESSAGES_MAX; i++) {
                n_lost += promised[i] && !found[i];
                n_made_up += found[i] && !asked[i];
                n_revived += found[i] && refused[i];
        }
}

static void send(Db *db)
{
        unsigned number = ++last_number;
        OutboxInsertOp o;
        OutboxRecord r = {
                        .number = number,
                        .id = {.bytes = {1, (uint8_t) (number >> 8), (uint8_t) number}},
                        .target = (char *) "",
                        .queue = (char *) "any//",
                        .size = sizeof payload,
        };
        OutboxPurgeOp purge;
        char key[16];

        asked[number] = true;
        (void) snprintf(key, sizeof key, "%u", number);
        outbox_insert_op_init(&o);
        o.record = r;
        o.payload = payload;
        o.key = one_in > 0 && draw(one_in) == 0 ? key : NULL;
        refused[number] = do_op(db, &o.op) < 0;
        promised[number] = !refused[number];
        n_promised += promised[number];
        n_refused += refused[number];
        if (refused[number] && dies_when_refused)
                process_kill(process);
        if (one_in == 0 || draw(one_in) > 0)
                return;
        outbox_purge_op_init(&purge);
        purge.number = MESSAGES_MAX;
        (void) do_op(db, &purge.op);
}

static int run_outbox(void *userdata)
{
        const OutboxLoad load = {on_client, on_bound, on_queued, NULL, on_stream, on_receiver, NULL};
        Error error = {};
        Db *db = NULL;
        int r;

        r = outbox_open(PATH, &db, &error);
        if (r >= 0)
                r = outbox_load(db, &load);
        if (r >= 0)
                r = db_start(db);
        if (r >= 0) {
                n_opened++;
                check(db);
                for (unsigned n = *(unsigned *) userdata; n > 0; n--)
                        send(db);
        }
        db_close(db);
        return r;
}

/* Outside. */

static bool has_ended(void *userdata)
{
        return !process_is_up(process);
}

/* Starts the process; kills it at its n-th call (0: not). Waits for its end, at most until `usec` have
 * passed. */
static void run(unsigned n_messages, unsigned kill_at, uint64_t usec)
{
        static unsigned n;

        n = n_messages;
        process_start(process, run_outbox, &n);
        process_kill_at(process, kill_at);
        world_run(world_now() + usec, has_ended, NULL);
        assert_int_equal(n_lost, 0);
        assert_int_equal(n_made_up, 0);
}

static void fail_at_random(void)
{
        const DiskCall call = (DiskCall) draw(_DISK_CALL_MAX);
        const unsigned n = 1 + draw(40);

        disk_fail(machine, call, n, draw(2) > 0);
}

static void test_random(void **state)
{
        one_in = 6;
        for (unsigned i = 0; i < 150; i++) {
                const unsigned kill_at = 1 + draw(200);

                run(20, kill_at, world_random(100 * USEC_PER_MSEC));
                assert_true(process_is_up(process) || last_status == 0 || last_status == 1000);
                process_kill(process);
                if (world_random(2) > 0)
                        continue;
                run(10, 0, world_random(30 * USEC_PER_MSEC));
                machine_power_off(machine, (FakeLoss) world_random(_FAKE_LOSS_MAX));
                machine_power_on(machine);
        }
        assert_in_range(n_promised, 300, MESSAGES_MAX);
        assert_in_range(n_opened, 50, 300);
}

/* Writes and syncs fail, the disk is full for a while; what then was promised nevertheless is there. */
static void test_failures(void **state)
{
        one_in = 6;
        for (unsigned i = 0; i < 150; i++) {
                fail_at_random();
                disk_set_full(machine, world_random(4) == 0);
                run(40, 0, world_random(50 * USEC_PER_MSEC));
                disk_fail(machine, DISK_WRITE, 0, false);
                disk_fail(machine, DISK_SYNC, 0, false);
                disk_set_full(machine, false);
                world_run(world_now() + world_random(50 * USEC_PER_MSEC), has_ended, NULL);
                process_kill(process);
                if (world_random(2) > 0)
                        continue;
                run(10, 0, world_random(30 * USEC_PER_MSEC));
                machine_power_off(machine, (FakeLoss) world_random(_FAKE_LOSS_MAX));
                machine_power_on(machine);
        }
        assert_in_range(n_promised, 300, MESSAGES_MAX);
        assert_in_range(n_opened, 50, 300);
}

/* One operation of the disk fails. What was refused because of it is not there, whatever comes then. */
static void test_refused(void **state)
{
        one_in = 6;
        dies_when_refused = true;
        for (unsigned i = 0; i < 200; i++) {
                const DiskCall call = (DiskCall) draw(_DISK_CALL_MAX);

                disk_fail(machine, call, 1 + draw(40), false);
                run(20, 0, world_random(50 * USEC_PER_MSEC));
                process_kill(process);
                disk_fail(machine, call, 0, false);
                if (draw(2) > 0)
                        disk_lose_power(machine, FAKE_TEAR);
                assert_int_equal(n_revived, 0);
        }
        assert_in_range(n_refused, 20, MESSAGES_MAX);
}

/* It is killed at each call of its first life, sends one message in its second, and the power goes. */
static void test_first_start(void **state)
{
        unsigned n = 0;
        int r;

        one_in = 0;
        do {
                disk_remove_all("/m0");
                memset(promised, 0, sizeof promised);
                run(0, ++n, USEC_PER_SEC);
                r = last_status;
                run(1, 0, USEC_PER_SEC);
                assert_int_equal(last_status, 0);
                disk_lose_power(machine, FAKE_LOSE);
                run(0, 0, USEC_PER_SEC);
                assert_int_equal(last_status, 0);
        } while (r == 1000);
        assert_true(n > 50);
}

/* The same, where only the log is to be made. */
static void test_new_log(void **state)
{
        unsigned n = 0;
        int r;

        one_in = 0;
        do {
                disk_remove_all("/m0");
                memset(promised, 0, sizeof promised);
                run(0, 0, USEC_PER_SEC);
                disk_remove(PATH ".redo");
                disk_lose_power(machine, FAKE_KEEP);
                run(0, ++n, USEC_PER_SEC);
                r = last_status;
                run(2, 20, USEC_PER_SEC);
                disk_lose_power(machine, FAKE_LOSE);
                run(0, 0, USEC_PER_SEC);
                assert_int_equal(last_status, 0);
        } while (r == 1000);
        assert_true(n > 20);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
        const struct CMUnitTest tests[] = {
                        TEST(random),
                        TEST(failures),
                        TEST(refused),
                        TEST(first_start),
                        TEST(new_log),
        };

        return cmocka_run_group_tests_name("sim-outbox", tests, NULL, NULL);
}
