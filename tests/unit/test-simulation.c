/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Discovery, two receivers and a client in one world, with accidents by the number of a seed: connections
 * break, daemons are stopped and started, handlers fail, the power goes. Every accepted message must be
 * acked in the end, and its handler must have succeeded once. A failure names its seed: SEED=n runs that one
 * alone, with log lines; SEEDS=n runs so many instead of 40. */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/random-pool.h"
#include "base/str-util.h"
#include "client/client.h"
#include "client/intake/submit.h"
#include "discovery/discovery.h"
#include "receiver/receiver.h"
#include "world/disk.h"
#include "world/world.h"

#define DISCOVERY   "unix:/discovery.sock"
#define N_RECEIVERS 2u
#define N_MESSAGES  40u
#define N_ACCIDENTS 120u
#define N_SEEDS     40u

typedef struct Sent {
        bool is_accepted, is_refused; /* neither: on its way to the disk */
        sd_id128_t id;
        unsigned n_acked;     /* what the client's observer was told */
        unsigned n_processed; /* handlers that ended well, and whose receiver did not stop before it knew */
} Sent;

typedef struct World {
        DiscoveryConfig discovery_config;
        char *discovery_listen[2];
        Discovery *discovery;

        struct {
                ReceiverConfig config;
                char name[8], address[32], state[128];
                char *listen[2];
                Receiver *receiver;
        } receivers[N_RECEIVERS];

        char client_state[128];
        Client client;
        bool client_runs;
        Sent sent[N_MESSAGES];
        unsigned n_sent;
} World;

static World w;

/* The daemons. */

static void start_discovery(void)
{
        Error error = {};

        assert_int_equal(discovery_new(&w.discovery_config, &w.discovery, &error), 0);
}

static void start_receiver(unsigned i)
{
        Error error = {};

        if (receiver_new(&w.receivers[i].config, &w.receivers[i].receiver, &error) < 0)
                fail_msg("receiver: %s", error.text);
}

static void on_message(Message *m, void *userdata)
{
}

static void on_event(Message *m, MessageEvent event, uint32_t attempt, const char *detail, void *userdata)
{
        for (unsigned i = 0; i < w.n_sent; i++)
                if (event == EVENT_ACKED && sd_id128_equal(w.sent[i].id, m->record.id))
                        w.sent[i].n_acked++;
}

static void on_receiver(const ReceiverInfo *info, bool listed, void *userdata)
{
}

static void on_changed(void *userdata)
{
}

static void start_client(void)
{
        static const ClientObserver observer = {on_message, on_message, on_message, on_event, on_message,
                        on_receiver, on_changed, NULL};
        Error error = {};

        w.client = (Client){};
        client_config_init(&w.client.config);
        w.client.config.discovery = strdup(DISCOVERY);
        w.client.config.state_directory = strdup(w.client_state);
        assert_int_equal(client_start(&w.client, &observer, &error), 0);
        w.client_runs = true;
}

static void stop_client(void)
{
        client_stop(&w.client);
        client_clear(&w.client);
        w.client_runs = false;
}

static void start_all(void)
{
        static char command[] = "handler", group[] = "g", discovery[] = DISCOVERY;
        static char *words[] = {command, NULL};

        w = (World){.discovery_listen = {discovery, NULL}};
        w.discovery_config = (DiscoveryConfig){
                        .listen = w.discovery_listen,
                        .lease_usec = LEASE_DEFAULT_USEC,
                        .state_directory = (char *) (uintptr_t) world_directory(),
        };
        start_discovery();
        for (unsigned i = 0; i < N_RECEIVERS; i++) {
                typeof(w.receivers[0]) *r = w.receivers + i;

                (void) snprintf(r->name, sizeof r->name, "r%u", i);
                (void) snprintf(r->address, sizeof r->address, "unix:/r%u.sock", i);
                (void) snprintf(r->state, sizeof r->state, "%s/r%u", world_directory(), i);
                r->listen[0] = r->address;
                r->config = (ReceiverConfig){
                                .name = r->name,
                                .group = group,
                                .discovery = discovery,
                                .listen = r->listen,
                                .state_directory = r->state,
                                .command = words,
                                .concurrency = 2,
                                .queue = 3,
                                .handler_timeout_usec = 60 * USEC_PER_SEC,
                                .stop_timeout_usec = 5 * USEC_PER_SEC,
                                .max_payload = PAYLOAD_DEFAULT_MAX,
                };
                start_receiver(i);
        }
        (void) snprintf(w.client_state, sizeof w.client_state, "%s/client", world_directory());
        start_client();
        world_advance(USEC_PER_SEC);
}

static void stop_all(void)
{
        stop_client();
        for (unsigned i = 0; i < N_RECEIVERS; i++)
                receiver_free(w.receivers[i].receiver);
        discovery_free(w.discovery);
}

/* What happens. */

static unsigned choose(unsigned n)
{
        return (unsigned) (random_u64() % n);
}

static void on_accepted(Message *m, int r, uint64_t number, void *userdata)
{
        if (r < 0) {
                w.sent[number].is_refused = true;
                return;
        }
        w.sent[number].is_accepted = true;
        w.sent[number].id = m->record.id;
}

static void send_one(void)
{
        const unsigned i = w.n_sent;
        char payload[32];
        Error error = {};

        if (i >= N_MESSAGES)
                return;
        (void) snprintf(payload, sizeof payload, "message-%u", i);
        const Submission s = {
                        .mode = SELECTOR_TO,
                        .target = w.receivers[choose(N_RECEIVERS)].name,
                        .payload = payload,
                        .size = strlen(payload),
                        .idempotency_key = payload,
                        .number = i,
                        .policy = POLICY_ALL_OPEN,
        };
        /* The client may not know the receiver yet. */
        if (client_submit(&w.client, &s, on_accepted, NULL, &error) >= 0)
                w.n_sent++;
        world_settle();
}

/* The outcome is on disk before anything else happens. */
static void end_handler(TestChild *child, bool well)
{
        unsigned i;

        assert_int_equal(sscanf(child->input, "message-%u", &i), 1);
        w.sent[i].n_processed += well;
        world_child_end(child, well ? 0 : 1, well ? "done" : "failed");
        world_settle();
}

static void end_some_handler(bool well)
{
        const unsigned n = world_n_children();

        if (n > 0)
                end_handler(world_child(choose(n)), well);
}

static void restart_receiver(void)
{
        const unsigned i = choose(N_RECEIVERS);

        w.receivers[i].receiver = receiver_free(w.receivers[i].receiver);
        world_advance(choose(3000) * USEC_PER_MSEC);
        start_receiver(i);
}

static void restart_client(void)
{
        stop_client();
        world_advance(choose(3000) * USEC_PER_MSEC);
        start_client();
}

static void restart_discovery(void)
{
        w.discovery = discovery_free(w.discovery);
        world_advance(choose(20000) * USEC_PER_MSEC);
        start_discovery();
}

/* Everything stops at once, and what was not synced is lost, there, or there in part. */
static void power_failure(void)
{
        fake_disk_crash();
        stop_all();
        fake_disk_power_on((FakeLoss) choose(_FAKE_LOSS_MAX), random_u64());
        world_advance(choose(20000) * USEC_PER_MSEC);
        start_discovery();
        for (unsigned i = 0; i < N_RECEIVERS; i++)
                start_receiver(i);
        start_client();
}

static void accident(void)
{
        switch (choose(17)) {
        case 16:
                power_failure();
                break;
        case 0:
                (void) world_cut(w.receivers[choose(N_RECEIVERS)].address, choose(2) ? -ECONNRESET : 0);
                break;
        case 1:
                restart_receiver();
                break;
        case 2:
                restart_client();
                break;
        case 3:
                restart_discovery();
                break;
        case 4:
                end_some_handler(false);
                break;
        case 5:
                world_sleep(choose(5000) * USEC_PER_MSEC);
                break;
        case 6 ... 9:
                send_one();
                break;
        default:
                end_some_handler(true);
        }
        world_advance(choose(1500) * USEC_PER_MSEC);
}

static bool is_over(void)
{
        for (unsigned i = 0; i < w.n_sent; i++)
                if (w.sent[i].n_acked == 0 && !w.sent[i].is_refused)
                        return false;
        return true;
}

static void finish(unsigned seed)
{
        for (unsigned i = 0; i < 3600 && !is_over(); i++) {
                while (world_n_children() > 0)
                        end_handler(world_child(0), true);
                world_advance(USEC_PER_SEC);
        }
        for (unsigned i = 0; i < w.n_sent; i++) {
                const Sent *s = w.sent + i;

                if (s->is_refused && !s->is_accepted && s->n_processed <= 1)
                        continue;
                if (!s->is_accepted || s->n_acked == 0 || s->n_processed != 1)
                        fail_msg("SEED=%u: message %u: accepted %d, acked %u times, processed %u times",
                                        seed, i, s->is_accepted, s->n_acked, s->n_processed);
        }
}

static void run(unsigned seed)
{
        world_begin();
        world_seed(seed);
        start_all();
        for (unsigned i = 0; i < N_ACCIDENTS; i++)
                accident();
        while (w.n_sent < N_MESSAGES) {
                send_one();
                world_advance(USEC_PER_SEC);
        }
        finish(seed);
        stop_all();
        world_end();
}

static void test_accidents(void **state)
{
        const char *one = getenv("SEED"), *many = getenv("SEEDS");
        const unsigned n = many ? (unsigned) strtoul(many, NULL, 10) : N_SEEDS;

        if (one) {
                log_set_level(LOG_DEBUG);
                run((unsigned) strtoul(one, NULL, 10));
                return;
        }
        log_set_level(LOG_EMERG);
        for (unsigned seed = 1; seed <= n; seed++)
                run(seed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_accidents)};

        return cmocka_run_group_tests_name("simulation", tests, NULL, NULL);
}
