/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The network of a world with machines and processes (world/net.h). */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net-side.h"
#include "world/memory.h"

#define LONG_USEC   (60 * USEC_PER_SEC)
#define SERVER_TCP  "tcp:10.0.0.2:7000"
#define SERVER_UNIX "unix:/m1/run/server.sock"

static Side client, server;
static Machine *machines[3];
static unsigned n_events[NET_ENDED + 1];
static uint64_t n_written, n_delivered;

static void on_event(const NetEvent *e, void *userdata)
{
        n_events[e->kind]++;
        if (e->kind == NET_WRITTEN)
                n_written += e->size;
        else if (e->kind == NET_DELIVERED)
                n_delivered += e->size;
        assert_true(e->connection > 0);
}

static int setup(void **state)
{
        world_begin();
        memory_begin();
        side_written = 0;
        memset(n_events, 0, sizeof n_events);
        n_written = n_delivered = 0;
        machines[0] = machine_new("m0");
        machines[1] = machine_new("m1");
        machines[2] = machine_new("m2");
        client = (Side){.process = process_new(machines[0], "client"), .address = SERVER_TCP};
        server = (Side){.process = process_new(machines[1], "server"),
                        .address = SERVER_TCP,
                        .listens = true};
        net_tap(on_event, NULL);
        return 0;
}

static int teardown(void **state)
{
        world_end();
        return 0;
}

static void link_both(const NetLink *l)
{
        net_set(machines[0], machines[1], l);
        net_set(machines[1], machines[0], l);
}

static void connect_both(void)
{
        side_start(&server);
        run_for(1000);
        side_start(&client);
        run_for(100 * USEC_PER_MSEC);
        assert_int_equal(client.n_connected, 1);
        assert_int_equal(server.n_connected, 1);
}

static void test_bytes_arrive_in_order_and_later(void **state)
{
        link_both(&(NetLink){.delay_min_usec = 1000, .delay_max_usec = 9000, .piece_max = 50});
        connect_both();
        for (unsigned i = 0; i < 10; i++)
                side_write(&client, 1000);
        assert_true(server.n_read < 10000);
        run_for(LONG_USEC);
        assert_int_equal(server.n_read, 10000);
        assert_true(server.in_order);
        assert_true(server.n_reads > 20);
        assert_int_equal(n_written, 10000);
        assert_int_equal(n_delivered, 10000);
        assert_int_equal(n_events[NET_OPENED], 1);
        assert_int_equal(n_events[NET_ENDED], 0);
}

static void test_delay_is_kept(void **state)
{
        link_both(&(NetLink){.delay_min_usec = 20000, .delay_max_usec = 20000});
        connect_both();
        assert_true(client.at >= 3600 * USEC_PER_SEC + 40000);
        side_write(&client, 300);
        run_for(19 * USEC_PER_MSEC);
        assert_int_equal(server.n_read, 0);
        run_for(2 * USEC_PER_MSEC);
        assert_int_equal(server.n_read, 300);
        assert_int_equal(server.n_reads, 1);
        side_hang_up(&client);
        run_for(LONG_USEC);
        assert_int_equal(server.n_ended, 1);
        assert_int_equal(server.error, 0);
        assert_int_equal(n_events[NET_ENDED], 2);
}

static void test_refused(void **state)
{
        side_start(&client);
        run_for(LONG_USEC);
        assert_int_equal(client.error, -ECONNREFUSED);
        client.address = "tcp:10.9.9.9:1";
        process_kill(client.process);
        side_start(&client);
        run_for(LONG_USEC);
        assert_int_equal(client.error, -ETIMEDOUT);
        client.address = "tcp:nobody:1";
        process_kill(client.process);
        side_start(&client);
        run_for(LONG_USEC);
        assert_int_equal(client.error, -EHOSTUNREACH);
}

static void test_unix_addresses(void **state)
{
        client.address = server.address = SERVER_UNIX;
        side_start(&server);
        run_for(1000);
        side_start(&client);
        run_for(1000);
        assert_int_equal(client.opened, -ENOENT);
        side_open(&client, SERVER_UNIX);
        assert_int_equal(client.error, -ENOENT);

        process_kill(client.process);
        client.process = process_new(machines[1], "near");
        net_set(machines[1], machines[1], &(NetLink){.down = true});
        side_start(&client);
        run_for(1000);
        assert_int_equal(client.n_connected, 1);
        side_write(&client, 10);
        run_for(LONG_USEC); /* Unix sockets are patient */
        assert_int_equal(server.n_read, 0);
        assert_int_equal(client.n_ended + server.n_ended, 0);
        net_set(machines[1], machines[1], &(NetLink){});
        run_for(1000);
        assert_int_equal(server.n_read, 10);

        process_kill(server.process);
        run_for(1000);
        assert_int_equal(client.n_ended, 1);
        side_open(&client, SERVER_UNIX); /* the file is still there */
        assert_int_equal(client.error, -ECONNREFUSED);
}

static void test_link_down(void **state)
{
        connect_both();
        net_set(machines[0], machines[1], &(NetLink){.down = true});
        const uint64_t since = world_now();
        side_write(&client, 100);
        run_for(2 * USEC_PER_SEC);
        assert_int_equal(server.n_read, 0);
        net_set(machines[0], machines[1], &(NetLink){});
        run_for(LONG_USEC);
        assert_int_equal(server.n_read, 100);
        assert_int_equal(client.n_ended + server.n_ended, 0);
        assert_true(world_now() > since + LONG_USEC);

        net_set(machines[0], machines[1], &(NetLink){.down = true});
        const uint64_t down = world_now();
        side_write(&client, 100);
        run_for(LONG_USEC);
        assert_int_equal(client.error, -ETIMEDOUT);
        assert_in_range(client.at, down + SILENCE_USEC, down + 2 * SILENCE_USEC);
        assert_int_equal(server.error, -ETIMEDOUT);
        assert_in_range(server.at, down + ACCEPTED_SILENCE_USEC, down + 2 * ACCEPTED_SILENCE_USEC);
        assert_int_equal(server.n_read, 100);
}

static void test_connect_over_a_link_that_is_down(void **state)
{
        side_start(&server);
        net_set(machines[1], machines[0], &(NetLink){.down = true});
        side_start(&client);
        run_for(SILENCE_USEC / 2);
        assert_int_equal(client.n_ended, 0);
        run_for(SILENCE_USEC);
        assert_int_equal(client.error, -ETIMEDOUT);
        assert_int_equal(server.n_connected, 0);
        process_kill(client.process);
        side_start(&client);
        run_for(USEC_PER_SEC);
        net_set(machines[1], machines[0], &(NetLink){});
        run_for(2500 * USEC_PER_MSEC); /* the next SYN */
        assert_int_equal(client.n_connected, 1);
        assert_int_equal(server.n_connected, 1);
}

static void test_kill(void **state)
{
        link_both(&(NetLink){.delay_min_usec = 5000, .delay_max_usec = 5000});
        connect_both();
        side_write(&client, 700);
        process_kill(client.process);
        run_for(LONG_USEC);
        assert_int_equal(server.n_read, 700);
        assert_int_equal(server.n_ended, 1);
        assert_int_equal(server.error, 0);

        side_written = 0;
        server.does_not_read = true;
        process_kill(server.process);
        side_start(&server);
        run_for(1000);
        side_start(&client);
        run_for(100 * USEC_PER_MSEC);
        side_write(&client, 700);
        run_for(100 * USEC_PER_MSEC);
        process_kill(server.process);
        run_for(LONG_USEC);
        assert_int_equal(client.error, -ECONNRESET);
}

static void test_power(void **state)
{
        connect_both();
        machine_power_off(machines[1], FAKE_KEEP);
        const uint64_t off = world_now();
        run_for(LONG_USEC);
        assert_int_equal(client.error, -ETIMEDOUT);
        assert_in_range(client.at, off + SILENCE_USEC, off + 2 * SILENCE_USEC);

        machine_power_on(machines[1]);
        process_kill(client.process);
        connect_both();
        machine_power_off(machines[1], FAKE_KEEP);
        run_for(USEC_PER_SEC);
        machine_power_on(machines[1]);
        side_write(&client, 10);
        run_for(SILENCE_USEC);
        assert_int_equal(client.error, -ECONNRESET);
}

static void test_suspended_machine(void **state)
{
        connect_both();
        machine_suspend(machines[1], true);
        side_write(&client, 10);
        run_for(SILENCE_USEC / 2);
        machine_suspend(machines[1], false);
        run_for(LONG_USEC);
        assert_int_equal(server.n_read, 10);
        assert_int_equal(client.n_ended, 0);
        machine_suspend(machines[1], true);
        run_for(LONG_USEC);
        assert_int_equal(client.error, -ETIMEDOUT);
        assert_int_equal(server.n_ended, 0);
        machine_suspend(machines[1], false);
        run_for(LONG_USEC);
        assert_int_equal(server.n_ended, 1);
        assert_int_equal(server.error, -ECONNRESET);
}

static void test_frozen_reader(void **state)
{
        connect_both();
        process_freeze(server.process, true);
        side_write(&client, 1000);
        assert_int_equal(client.n_drained, 1);
        side_write(&client, 300000);
        run_for(SILENCE_USEC / 2);
        assert_int_equal(client.n_drained, 1);
        assert_in_range(connection_output_size(client.connection), 50000, 150000);
        process_freeze(server.process, false);
        run_for(USEC_PER_SEC);
        assert_int_equal(client.n_drained, 2);
        assert_int_equal(server.n_read, 301000);
        assert_true(server.in_order);
        assert_true(server.n_largest <= 65536);
        run_for(LONG_USEC);
        assert_int_equal(client.n_ended + server.n_ended, 0);

        process_freeze(server.process, true);
        run_for(LONG_USEC); /* its kernel answers */
        assert_int_equal(client.n_ended, 0);
        side_write(&client, 300000);
        run_for(LONG_USEC); /* but takes no more */
        assert_int_equal(client.error, -ETIMEDOUT);
}

static void test_reset_and_blackhole(void **state)
{
        connect_both();
        assert_int_equal(net_reset(server.process, client.process), 1);
        run_for(1000);
        assert_int_equal(client.error, -ECONNRESET);
        assert_int_equal(server.error, -ECONNRESET);
        assert_int_equal(net_reset(server.process, NULL), 0);

        process_kill(client.process);
        process_kill(server.process);
        connect_both();
        assert_int_equal(net_blackhole(client.process, server.process), 1);
        side_write(&client, 100);
        side_written = 0;
        side_write(&server, 200);
        run_for(LONG_USEC);
        assert_int_equal(client.n_ended + server.n_ended, 0);
        assert_int_equal(server.n_read, 0);
        assert_int_equal(client.n_read, 200);
        side_hang_up(&client);
        run_for(LONG_USEC);
        assert_int_equal(server.error, -ETIMEDOUT);
}

static void test_socket_that_systemd_holds(void **state)
{
        net_keep_listening(SERVER_TCP, true);
        side_start(&client);
        run_for(1000);
        assert_int_equal(client.n_connected, 1);
        side_write(&client, 50);
        run_for(LONG_USEC);
        assert_int_equal(client.n_ended, 0);
        side_start(&server);
        run_for(1000);
        assert_int_equal(server.n_read, 50);
        process_kill(server.process);
        run_for(1000);
        assert_int_equal(client.n_ended, 1);
        process_kill(client.process);
        side_start(&client);
        run_for(1000);
        assert_int_equal(client.n_connected, 1);
        net_keep_listening(SERVER_TCP, false);
        run_for(1000);
        assert_int_equal(client.error, -ECONNRESET);
        process_kill(client.process);
        side_start(&client);
        run_for(1000);
        assert_int_equal(client.error, -ECONNREFUSED);
}

static void test_names(void **state)
{
        static const char *const ips[] = {"10.0.0.3", "10.0.0.2", NULL};

        net_set_name("server.example", ips, 30000);
        client.address = "tcp:server.example:7000";
        side_start(&server);
        side_start(&client);
        run_for(29000);
        assert_int_equal(client.n_connected, 0);
        run_for(2000);
        assert_int_equal(client.n_connected, 1);
        assert_int_equal(server.n_connected, 1);
        net_set_name("server.example", NULL, 0);
        process_kill(client.process);
        side_start(&client);
        run_for(1000);
        assert_int_equal(client.error, -EHOSTUNREACH);
}

static void test_nothing_is_left(void **state)
{
        size_t descriptors = 0, client_descriptors = 0;

        link_both(&(NetLink){.delay_min_usec = 10, .delay_max_usec = 500, .piece_max = 100});
        for (unsigned i = 0; i < 50; i++) {
                process_kill(client.process);
                if (i == 0) {
                        side_start(&server);
                        run_for(1000);
                        descriptors = process_n_descriptors(server.process);
                }
                side_start(&client);
                run_for(10000);
                if (i == 0)
                        client_descriptors = process_n_descriptors(client.process);
                assert_int_equal(process_n_descriptors(client.process), client_descriptors);
                assert_int_equal(process_n_descriptors(server.process), descriptors + 1);
                side_written = 0;
                server.n_read = 0;
                side_write(&client, 3000);
                run_for(i * 100);
                if (i % 3 == 0)
                        side_hang_up(&client);
        }
        process_kill(client.process);
        run_for(LONG_USEC);
        assert_int_equal(process_n_descriptors(server.process), descriptors);
        assert_true(server.in_order);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                        TEST(test_bytes_arrive_in_order_and_later),
                        TEST(test_delay_is_kept),
                        TEST(test_refused),
                        TEST(test_unix_addresses),
                        TEST(test_link_down),
                        TEST(test_connect_over_a_link_that_is_down),
                        TEST(test_kill),
                        TEST(test_power),
                        TEST(test_suspended_machine),
                        TEST(test_frozen_reader),
                        TEST(test_reset_and_blackhole),
                        TEST(test_socket_that_systemd_holds),
                        TEST(test_names),
                        TEST(test_nothing_is_left),
        };

        return cmocka_run_group_tests_name("network", tests, NULL, NULL);
}
