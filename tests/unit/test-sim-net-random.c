/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Processes that connect, write, stop reading and hang up at random, while links, machines and processes
 * fail. What is read on a connection is what was written, from its beginning on; a connection ends once;
 * nothing is left at the end; and a seed repeats exactly. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include <cmocka.h>

#include "base/str-util.h"
#include "runtime/connection.h"
#include "runtime/listen.h"
#include "runtime/timer.h"
#include "runtime/watch.h"
#include "world/inside.h"
#include "world/memory.h"
#include "world/net.h"
#include "world/scheduler.h"
#include "world/socket.h"

#define N_NODES         5u
#define N_MACHINES      3u
#define N_SEEDS         40u
#define CONNECTIONS_MAX 8u /* that one node opens */
#define WIRES_MAX       65536u
#define TICK_MAX_USEC   (20 * USEC_PER_MSEC)
#define SILENCE_USEC    (2 * USEC_PER_SEC)

typedef struct Node Node;

/* In the memory of the process. */
typedef struct Talk {
        Node *node;
        Connection *connection;
        size_t n_written;
        bool connected, paused, shut, opened;
        struct Talk *prev, *next;
} Talk;

struct Node {
        Process *process;
        unsigned index;
        char address[2][40];
        Loop *loop;
        ListenerSet listeners;
        Watch watches[2];
        Timer timer;
        Talk *talks;
        unsigned n_opened;
};

/* What the tap has seen of a connection, by side. */
typedef struct Wire {
        const Process *opener;
        size_t n_written[2], n_delivered[2];
        unsigned n_ended[2];
} Wire;

static Machine *machines[N_MACHINES];
static Node nodes[N_NODES];
static Wire *wires;
static uint64_t hash, n_wires, n_delivered, all_wires, all_delivered;
static bool is_quiet;

static void mix(uint64_t x)
{
        hash = (hash ^ x) * UINT64_C(0x100000001b3);
}

static void on_event(const NetEvent *e, void *userdata)
{
        const uint8_t *data = e->data;
        Wire *w = wires + e->connection;

        assert_true(e->connection < WIRES_MAX);
        if (e->kind == NET_OPENED) {
                w->opener = e->from;
                n_wires++;
        }
        const unsigned side = w->opener == e->from ? 0 : 1;
        mix(e->kind);
        mix(e->connection);
        mix(e->size);
        mix((uint64_t) e->error);
        mix(world_now());
        if (e->kind == NET_WRITTEN)
                w->n_written[side] += e->size;
        else if (e->kind == NET_DELIVERED) {
                for (size_t i = 0; i < e->size; i++)
                        assert_int_equal(data[i], (uint8_t) (w->n_delivered[side] + i));
                w->n_delivered[side] += e->size;
                n_delivered += e->size;
                assert_true(w->n_delivered[side] <= w->n_written[side]);
        } else if (e->kind == NET_ENDED)
                assert_int_equal(w->n_ended[side]++, 0);
}

static void talk_free(Talk *t)
{
        connection_free(t->connection);
        t->node->n_opened -= t->opened;
        DL_DELETE(t->node->talks, t);
        free(t);
}

static void on_connected(Connection *c, void *userdata)
{
        Talk *t = userdata;

        assert_false(t->connected);
        t->connected = true;
}

static void on_readable(Connection *c, void *userdata)
{
        assert_true(((Talk *) userdata)->connected);
        buffer_consume(connection_input(c), buffer_size(connection_input(c)));
        if (world_random(50) == 0)
                talk_free(userdata);
}

static void on_half_closed(Connection *c, void *userdata)
{
        if (world_random(2) == 0)
                talk_free(userdata);
}

static void on_ended(Connection *c, int error, void *userdata)
{
        mix((uint64_t) error);
        talk_free(userdata);
}

static const ConnectionCallbacks callbacks[] = {
                {on_connected, on_readable, NULL, on_ended, NULL},
                {on_connected, on_readable, on_half_closed, on_ended, NULL},
};

static Talk *talk_new(Node *n)
{
        Talk *t = calloc(1, sizeof *t);

        assert_non_null(t);
        t->node = n;
        DL_APPEND(n->talks, t);
        return t;
}

static void on_listener(uint32_t events, void *userdata)
{
        Node *n = userdata;

        for (size_t i = 0; i < n->listeners.n; i++) {
                const int fd = listener_accept(n->listeners.listeners + i);
                Talk *t;

                if (fd < 0)
                        continue;
                t = talk_new(n);
                t->connected = true;
                assert_int_equal(connection_new(n->loop, fd, callbacks + world_random(2), t, &t->connection),
                                0);
        }
}

static void open_one(Node *n)
{
        const Node *to = nodes + world_random(N_NODES);
        Address a;
        Talk *t;

        assert_int_equal(address_parse(to->address[world_random(2)], &a, NULL), 0);
        /* The tap tells the ends apart by their processes. */
        if (n->n_opened >= CONNECTIONS_MAX || to == n)
                return;
        t = talk_new(n);
        t->opened = true;
        n->n_opened++;
        assert_int_equal(connection_open(n->loop, &a, SILENCE_USEC, callbacks + world_random(2), t,
                                         &t->connection),
                        0);
}

static void write_some(Talk *t)
{
        const uint64_t most = world_random(10) == 0 ? 100000 : 500, size = world_random(most);

        if (t->shut || connection_output_size(t->connection) > 300000)
                return;
        uint8_t *room = buffer_reserve(connection_output(t->connection), size + 1);
        assert_non_null(room);
        for (uint64_t i = 0; i < size; i++)
                room[i] = (uint8_t) (t->n_written + i);
        buffer_added(connection_output(t->connection), size);
        t->n_written += size;
        connection_flush(t->connection);
}

static void act(Talk *t)
{
        switch (world_random(40)) {
        case 0:
                talk_free(t);
                break;
        case 1:
                /* The rest of the output would be written later. */
                if (t->connected && connection_output_size(t->connection) == 0) {
                        connection_shutdown(t->connection);
                        t->shut = true;
                }
                break;
        case 2 ... 4:
                t->paused = !t->paused;
                connection_pause(t->connection, t->paused);
                break;
        case 5 ... 20:
                write_some(t);
                break;
        }
}

static void on_tick(void *userdata)
{
        Node *n = userdata;
        Talk *t, *next;

        if (is_quiet)
                return;
        if (world_random(4) == 0)
                open_one(n);
        DL_FOREACH_SAFE(n->talks, t, next)
                act(t);
        (void) timer_arm_in(&n->timer, 1 + world_random(TICK_MAX_USEC));
}

static int run_node(void *userdata)
{
        Node *n = userdata;
        Address a;

        assert_int_equal(loop_new(NULL, NULL, &n->loop), 0);
        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(address_parse(n->address[i], &a, NULL), 0);
                assert_int_equal(listeners_bind(&n->listeners, &a, 0660, NULL), 0);
                (void) watch_start(n->watches + i, n->loop, n->listeners.listeners[i].fd, EPOLLIN,
                                on_listener, n);
        }
        assert_int_equal(timer_init(&n->timer, n->loop, "tick", on_tick, n), 0);
        on_tick(n);
        return loop_run(n->loop);
}

static void node_start(Node *n)
{
        if (process_is_up(n->process) || !machine_is_on(process_machine(n->process)))
                return;
        n->talks = NULL;
        n->n_opened = 0;
        n->listeners = (ListenerSet){};
        process_start(n->process, run_node, n);
}

static Machine *some_machine(void)
{
        return machines[world_random(N_MACHINES)];
}

static Process *some_process(void)
{
        return nodes[world_random(N_NODES)].process;
}

static void set_links(void)
{
        for (unsigned from = 0; from < N_MACHINES; from++)
                for (unsigned to = 0; to < N_MACHINES; to++) {
                        NetLink l = {.delay_min_usec = world_random(1000)};

                        l.delay_max_usec = l.delay_min_usec + world_random(10000);
                        l.piece_max = world_random(2) ? 0 : 1 + (unsigned) world_random(500);
                        l.down = from != to && !is_quiet && world_random(5) == 0;
                        net_set(machines[from], machines[to], &l);
                }
}

static void fail_somehow(void)
{
        Process *p = some_process(), *other = some_process();
        Machine *m = some_machine();

        switch (world_random(10)) {
        case 0:
                process_kill(p);
                break;
        case 1:
                process_freeze(p, !process_is_frozen(p));
                break;
        case 2:
                machine_power_off(m, FAKE_KEEP);
                break;
        case 3:
                machine_power_on(m);
                break;
        case 4:
                machine_suspend(m, world_random(3) == 0);
                break;
        case 5:
                (void) net_reset(p, world_random(2) ? other : NULL);
                break;
        case 6:
                (void) net_blackhole(p, other);
                break;
        case 7:
                process_kill_at(p, 1 + (unsigned) world_random(100));
                break;
        default:
                set_links();
        }
}

static void calm_down(void)
{
        for (unsigned i = 0; i < N_MACHINES; i++) {
                machine_power_on(machines[i]);
                for (unsigned k = 0; k < 1000; k++)
                        machine_suspend(machines[i], false);
        }
        for (unsigned i = 0; i < N_NODES; i++)
                while (process_is_frozen(nodes[i].process))
                        process_freeze(nodes[i].process, false);
        is_quiet = true;
        set_links();
}

static void make_world(uint64_t seed)
{
        world_begin();
        scheduler_begin(seed);
        wires = calloc(WIRES_MAX, sizeof *wires);
        assert_non_null(wires);
        hash = n_wires = n_delivered = 0;
        is_quiet = false;
        for (unsigned i = 0; i < N_MACHINES; i++) {
                char name[8];

                (void) snprintf(name, sizeof name, "m%u", i);
                machines[i] = machine_new(name);
        }
        for (unsigned i = 0; i < N_NODES; i++) {
                Machine *m = machines[i % N_MACHINES];
                Node *n = nodes + i;
                char name[8];

                (void) snprintf(name, sizeof name, "n%u", i);
                *n = (Node){.process = process_new(m, name), .index = i};
                (void) snprintf(n->address[0], sizeof n->address[0], "tcp:%s:%u", machine_ip(m), 7000 + i);
                (void) snprintf(n->address[1], sizeof n->address[1], "unix:/%s/%s.sock", machine_name(m),
                                name);
                net_keep_listening(n->address[i % 2], i < 2);
        }
        net_set_room(100, 100000);
        net_tap(on_event, NULL);
        set_links();
}

static uint64_t run(uint64_t seed)
{
        make_world(seed);
        for (unsigned i = 0; i < 400; i++) {
                for (unsigned k = 0; k < N_NODES; k++)
                        if (world_random(3) == 0)
                                node_start(nodes + k);
                if (world_random(3) == 0)
                        fail_somehow();
                world_run(world_now() + world_random(100 * USEC_PER_MSEC), NULL, NULL);
        }
        calm_down();
        world_run(world_now() + 60 * USEC_PER_SEC, NULL, NULL);
        for (unsigned i = 0; i < N_NODES; i++) {
                process_kill(nodes[i].process);
                net_keep_listening(nodes[i].address[0], false);
                net_keep_listening(nodes[i].address[1], false);
        }
        world_run(world_now() + 60 * USEC_PER_SEC, NULL, NULL);
        for (unsigned i = 1; i <= n_wires; i++)
                assert_int_equal(wires[i].n_ended[0] + wires[i].n_ended[1], 2);
        assert_null(pairs_first());
        all_wires += n_wires;
        all_delivered += n_delivered;
        free(wires);
        world_end();
        return hash;
}

static void test_random(void **state)
{
        const char *one = getenv("SEED"), *many = getenv("SEEDS");
        const unsigned long n = many ? strtoul(many, NULL, 10) : N_SEEDS;

        memory_begin();
        if (one) {
                (void) run(strtoull(one, NULL, 10));
                return;
        }
        for (unsigned long seed = 1; seed <= n; seed++) {
                const uint64_t first = run(seed);

                if (seed % 10 == 1 && run(seed) != first)
                        fail_msg("SEED=%lu: another run", seed);
        }
        assert_true(all_wires > 100 * n && all_delivered > 100000 * n);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};

        return cmocka_run_group_tests_name("network at random", tests, NULL, NULL);
}
