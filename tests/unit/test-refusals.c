/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whatever refuses for ever is asked a bounded number of times in a minute, and fills no log: one table, a
 * row for each kind of refusal. Client, receiver and discovery are whole daemons in one world. */

#include <stdio.h>
#include <string.h>

#include "receiver-fixture.h"

#include "base/log.h"
#include "capture.h"
#include "client/client.h"
#include "client/intake/submit.h"
#include "discovery/discovery.h"
#include "world/disk.h"

#define N_MESSAGES 100u

typedef struct World {
        Fixture *f;
        char *listen[2];
        DiscoveryConfig config;
        Discovery *discovery;
        Client client, other;
        unsigned n_events, n_sent, n_asked, n_operations;
} World;

static World w;

static void on_message(Message *m, void *userdata)
{
}

static void on_event(Message *m, MessageEvent event, uint32_t attempt, const char *detail, void *userdata)
{
        w.n_sent += event == EVENT_SENT;
        w.n_events += event != EVENT_WORKING && event != EVENT_BOUND; /* those are not logged */
}

static void on_receiver(const ReceiverInfo *info, bool listed, void *userdata)
{
}

static void on_changed(void *userdata)
{
}

static void start_discovery(void)
{
        Error error = {};

        w.listen[0] = (char *) "unix:/d.sock";
        w.config = (DiscoveryConfig){
                        .listen = w.listen,
                        .lease_usec = 30 * USEC_PER_SEC,
                        .state_directory = (char *) (uintptr_t) world_directory(),
        };
        assert_int_equal(discovery_new(&w.config, &w.discovery, &error), 0);
        world_settle();
}

static void start_client(Client *c, const char *state)
{
        static const ClientObserver observer = {on_message, on_message, on_message, on_event, on_message,
                        on_receiver, on_changed, NULL};
        Error error = {};

        client_config_init(&c->config);
        c->config.discovery = strdup("unix:/d.sock");
        c->config.state_directory = str_format("%s%s", world_directory(), state);
        assert_int_equal(client_start(c, &observer, &error), 0);
        world_settle();
}

static void on_submitted(Message *m, int r, uint64_t number, void *userdata)
{
}

static void submit(Client *c, unsigned n)
{
        for (unsigned i = 0; i < n; i++) {
                const Submission s = {
                                .mode = SELECTOR_ANY,
                                .target = "",
                                .payload = "x",
                                .size = 1,
                                .policy = POLICY_ALL_OPEN,
                };
                Error error = {};

                assert_int_equal(client_submit(c, &s, on_submitted, NULL, &error), 0);
        }
        world_settle();
}

static void start_all(void)
{
        start_discovery();
        fixture_set_command(w.f, "work");
        assert_int_equal(fixture_new(w.f), 0);
        assert_int_equal(world_n_ready(), 2); /* discovery and the receiver */
        start_client(&w.client, "");
        world_advance(USEC_PER_SEC);
}

/* The rows. */

/* A message of another client runs for ever, and there is no queue. */
static void begin_busy(void)
{
        w.f->config.queue = 0;
        start_all();
        start_client(&w.other, "/other");
        submit(&w.other, 1);
        world_advance(USEC_PER_SEC);
        assert_int_equal(world_n_children(), 1);
        submit(&w.client, N_MESSAGES);
}

static void begin_cannot_start(void)
{
        start_all();
        world_spawn_error(-EAGAIN);
        submit(&w.client, N_MESSAGES);
}

/* The disk of the client and of the receiver, who have work to be written. */
static void begin_disk(void)
{
        start_all();
        submit(&w.client, N_MESSAGES);
        fake_disk_fail(1, EIO, true);
        for (unsigned i = 0; i < N_MESSAGES && world_child(0); i++) {
                world_child_end(world_child(0), 0, NULL);
                world_settle();
        }
}

static void begin_refused(void)
{
        world_refuse(RECEIVER_ADDRESS, -ECONNREFUSED);
        start_all();
        submit(&w.client, N_MESSAGES);
}

static void begin_discovery_away(void)
{
        fixture_set_command(w.f, "work");
        assert_int_equal(fixture_new(w.f), 0);
        start_client(&w.client, "");
}

static void refuse_requests(void)
{
        TestRequest *q;

        while ((q = world_request(""))) {
                w.n_asked++;
                world_answer(q, -ECONNREFUSED, NULL);
                world_settle();
        }
}

static unsigned count_sent(void)
{
        return w.n_sent;
}

static unsigned count_asked(void)
{
        return w.n_asked;
}

typedef struct Row {
        const char *name;
        void (*begin)(void);
        void (*step)(void);
        unsigned (*count)(void);
        unsigned tries; /* in a minute, at most */
        unsigned lines;
} Row;

static const Row rows[] = {
                {"the receiver is busy", begin_busy, NULL, count_sent, 30, 30},
                {"the handler cannot be started", begin_cannot_start, NULL, world_n_spawns, 60, 60},
                {"the disk refuses", begin_disk, NULL, fake_disk_operations, 1000, 200},
                {"the connection is refused", begin_refused, NULL, world_n_opened, 70, 20},
                {"discovery is away", begin_discovery_away, refuse_requests, count_asked, 100, 20},
};

static unsigned count_lines(const char *text)
{
        unsigned n = 0;

        for (; *text; text++)
                n += *text == '\n';
        return n;
}

/* What happens in the first second is not persistent yet. */
static void test_refusal(void **state)
{
        const Row *row = *state;
        unsigned before, tries, lines;
        Capture capture;
        void *fixture;

        assert_int_equal(fixture_setup(&fixture), 0);
        w = (World){.f = fixture};
        log_set_level(LOG_INFO);
        row->begin();
        world_advance(USEC_PER_SEC);
        before = row->count();
        w.n_events = 0;
        capture_begin(&capture);
        for (unsigned i = 0; i < 6000; i++) {
                world_advance(10 * USEC_PER_MSEC);
                if (row->step)
                        row->step();
        }
        (void) log_tick();
        capture_end(&capture);
        tries = row->count() - before;
        lines = count_lines(capture.err);
        print_message("%s: %u tries, %u lines, %u events\n", row->name, tries, lines, w.n_events);
        if (lines > row->lines)
                print_error("%.2000s\n", capture.err);
        assert_in_range(tries, 2, row->tries);
        assert_in_range(lines, 0, row->lines);
        assert_in_range(w.n_events, 0, 4 * row->tries);
        capture_clear(&capture);

        fake_disk_fail(0, 0, false);
        client_clear(&w.client);
        if (w.other.loop)
                client_clear(&w.other);
        w.discovery = discovery_free(w.discovery);
        fixture_end(w.f);
        assert_int_equal(fixture_teardown(&fixture), 0);
}

int main(void)
{
        struct CMUnitTest tests[ELEMENTSOF(rows)];

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                tests[i] = (struct CMUnitTest){
                                rows[i].name, test_refusal, NULL, NULL, (void *) (uintptr_t) (rows + i)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
