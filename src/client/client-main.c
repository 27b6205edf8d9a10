/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str-util.h"

#include "client/bus/connect.h"
#include "client/client.h"
#include "daemon/paths.h"
#include "daemon/program.h"
#include "daemon/value-check.h"
#include "store/outbox-salvage.h"

typedef struct Config {
        ClientConfig client;
        bool user, system;
} Config;

#define CLIENT(field) offsetof(Config, client.field)

static const ConfItem items[] = {
                {"Client", "User", CONF_BOOL, offsetof(Config, user), 0, 0},
                {"Client", "System", CONF_BOOL, offsetof(Config, system), 0, 0},
                {"Client", "Discovery", CONF_STRING, CLIENT(discovery), .check = check_url},
                {"Client", "HostName", CONF_STRING, CLIENT(host_name), 0, 0},
                {"Client", "AckTimeoutSec", CONF_DURATION, CLIENT(policy.ack_timeout_usec),
                                100 * USEC_PER_MSEC, 86400 * USEC_PER_SEC},
                {"Client", "BackoffSec", CONF_DURATION, CLIENT(policy.backoff_usec), 0,
                                86400 * USEC_PER_SEC},
                {"Client", "BackoffMaxSec", CONF_DURATION, CLIENT(policy.backoff_max_usec), 0,
                                86400 * USEC_PER_SEC},
                {"Client", "MaxAttempts", CONF_SIZE, CLIENT(policy.max_attempts), 0, UINT32_MAX},
                {"Client", "DeadlineSec", CONF_DURATION, CLIENT(deadline_usec), USEC_PER_SEC, 0},
                {"Client", "MaxPayload", CONF_SIZE, CLIENT(max_payload), 1, PAYLOAD_MAX},
                {"Client", "OutboxLimit", CONF_UNSIGNED, CLIENT(outbox_limit), 1, 0},
                {"Client", "History", CONF_UNSIGNED, CLIENT(history), 0, 1000000},
                {"Client", "StateDirectory", CONF_STRING, CLIENT(state_directory), 0, 0},
                {"Client", "LogLevel", CONF_STRING, CLIENT(log_level), .check = check_log_level},
                {},
};
static const char *const foreign[] = {"Discovery", "Receiver", NULL};
static const char *const live[] = {"AckTimeoutSec", "BackoffSec", "BackoffMaxSec", "MaxAttempts",
                "DeadlineSec", "MaxPayload", "OutboxLimit", "History", "LogLevel", NULL};
static const ConfTable table = {items, foreign, live};

static const Option rows[] = {
                {"user", "User", OPTION_FLAG},
                {"system", "System", OPTION_FLAG},
                {"discovery", "Discovery", OPTION_VALUE},
                {"host-name", "HostName", OPTION_VALUE},
                {"ack-timeout", "AckTimeoutSec", OPTION_VALUE},
                {"backoff", "BackoffSec", OPTION_VALUE},
                {"backoff-max", "BackoffMaxSec", OPTION_VALUE},
                {"max-attempts", "MaxAttempts", OPTION_VALUE},
                {"deadline", "DeadlineSec", OPTION_VALUE},
                {"max-payload", "MaxPayload", OPTION_VALUE},
                {"outbox-limit", "OutboxLimit", OPTION_VALUE},
                {"history", "History", OPTION_VALUE},
                {},
};

static const char help[] =
                "Usage: ackgroup-client [OPTION…]\n\n"
                "Keeps messages until they are acked. Provides org.ackgroup.Client1; ackctl talks to it.\n\n"
                "  --help, --version\n"
                "  --check              check the configuration, and end\n"
                "  --config FILE        instead of ackgroup.conf\n"
                "  --state-dir DIR      where the outbox is kept\n"
                "  --log-level LEVEL\n"
                "  --system, --user     the bus (system for root, session for others)\n"
                "  --discovery URL      unix:PATH or http://HOST:PORT\n"
                "  --host-name NAME     the host of receivers that are named without one (this host)\n"
                "  --ack-timeout SEC    send again if no ack comes in this time (5)\n"
                "  --backoff SEC        pause after a failure, doubled each time (500ms; 0: none)\n"
                "  --backoff-max SEC    the longest such pause (30)\n"
                "  --max-attempts N     attempts before a message is a dead letter (0: no limit)\n"
                "  --deadline SEC       after this time a message is a dead letter (infinity)\n"
                "  --max-payload SIZE   largest message (1M, at most 16M)\n"
                "  --outbox-limit N     messages and dead letters that may wait; more are refused "
                "(1000000)\n"
                "  --salvage            makes a damaged outbox usable again, as far as it can be read; then "
                "ends\n"
                "  --history N          acked messages, and cancelled ones, that are kept (1000)\n";

static const Options options = {.help = help, .section = "Client", .table = &table, .options = rows};

static int check(const void *userdata, Error *error)
{
        const Config *config = userdata;

        return config->user && config->system
                               ? error_set(error, -EINVAL, "--user and --system exclude each other")
                               : 0;
}

typedef struct Daemon {
        Client client;
        ClientBus bus;
} Daemon;

static void stop(void *root)
{
        Daemon *d = root;

        client_stop(&d->client);
        client_bus_clear(&d->bus);
        client_clear(&d->client);
        free(d);
}

static int start(void *userdata, void **ret_root, Loop **ret_loop, Error *error)
{
        Config *config = userdata;
        Daemon *d = calloc(1, sizeof *d);
        int r;

        if (!d)
                return -ENOMEM;
        d->client.config = config->client;
        config->client = (ClientConfig){};
        d->bus.client = &d->client;
        d->bus.system = config->system || (!config->user && geteuid() == 0);
        const ClientObserver observer = client_bus_observer(&d->bus);
        r = client_start(&d->client, &observer, error);
        if (r >= 0)
                r = client_bus_open(&d->bus, error);
        if (r < 0) {
                stop(d);
                return r;
        }
        *ret_root = d;
        *ret_loop = d->client.loop;
        return 0;
}

/* Settings that cannot change at run time keep their values. */
static int reload(void *root, void *fresh, Error *error)
{
        Daemon *d = root;

        client_reload(&d->client, &((Config *) fresh)->client);
        return 0;
}

static int salvage(void *userdata, Error *error)
{
        const Config *config = userdata;
        _cleanup_free_ char *path = NULL;
        OutboxSalvage found;
        int r;

        r = paths_state_file(config->client.state_directory, "client", "outbox.db", &path, error);
        if (r >= 0)
                r = outbox_salvage(path, &found, error);
        if (r < 0)
                return r;
        printf("%" PRIu64 " messages are there again, %" PRIu64 " of them have not ended; of %" PRIu64
               " more only parts could be read.\nThe damaged file is kept as %s.\n",
                        found.n_messages, found.n_open, found.n_lost, found.damage.kept);
        return 0;
}

/* Not a key of the configuration: it is done once. */
static bool take_salvage(int *argc, char **argv)
{
        for (int i = 1; i < *argc; i++)
                if (str_equal(argv[i], "--salvage")) {
                        memmove(argv + i, argv + i + 1, (size_t) (*argc - i) * sizeof *argv);
                        --*argc;
                        return true;
                }
        return false;
}

int main(int argc, char **argv)
{
        const bool salvaging = take_salvage(&argc, argv);
        Config defaults = {};
        const Program program = {
                        .name = "ackgroup-client",
                        .options = &options,
                        .defaults = &defaults,
                        .config_size = sizeof defaults,
                        .check = check,
                        .start = start,
                        .task = salvaging ? salvage : NULL,
                        .reload = reload,
                        .free = stop,
        };

        client_config_init(&defaults.client);
        return program_run(&program, argc, argv);
}
