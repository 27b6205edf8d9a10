/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str-util.h"
#include "client/bus/manager.h"
#include "runtime/options.h"

typedef struct Config {
        ClientConfig client;
        bool user, system;
} Config;

#define CLIENT(field) offsetof(Config, client.field)

static const ConfItem items[] = {
                {"Client", "User", CONF_BOOL, offsetof(Config, user), 0, 0},
                {"Client", "System", CONF_BOOL, offsetof(Config, system), 0, 0},
                {"Client", "Discovery", CONF_STRING, CLIENT(discovery), 0, 0},
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
                {"Client", "LogLevel", CONF_STRING, CLIENT(log_level), 0, 0},
                {},
};
static const char *const foreign[] = {"Discovery", "Receiver", NULL};
static const ConfTable table = {items, foreign};

static const Option rows[] = {
                {"user", "User", OPTION_FLAG},
                {"system", "System", OPTION_FLAG},
                {"discovery", "Discovery", OPTION_VALUE},
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
                "  --config FILE        instead of ackgroup.conf\n"
                "  --state-dir DIR      where the outbox is kept\n"
                "  --log-level LEVEL\n"
                "  --system, --user     which bus (system for root, the user's otherwise)\n"
                "  --discovery URL      unix:PATH or http://HOST:PORT\n"
                "  --ack-timeout SEC    without an ack for so long: send again (5)\n"
                "  --backoff SEC        pause after a failure; doubles with each (500ms; 0: none)\n"
                "  --backoff-max SEC    but not beyond this (30)\n"
                "  --max-attempts N     then it is a dead letter (0: tried for ever)\n"
                "  --deadline SEC       after so long it is a dead letter (infinity)\n"
                "  --max-payload SIZE   of one message (1M, at most 16M)\n"
                "  --outbox-limit N     messages that may wait; more are refused (1000000)\n"
                "  --history N          acked and cancelled messages to keep for looking at (1000)\n";

static const Options options = {.help = help, .section = "Client", .table = &table, .options = rows};

/* Where the client and its bus live, and what a reload reads again. */
typedef struct Daemon {
        Client client;
        ClientBus bus;
        int argc;
        char **argv;
} Daemon;

static int read_config(int argc, char **argv, Config *ret, Error *error)
{
        *ret = (Config){};
        client_config_init(&ret->client);
        int r = options_read(&options, argc, argv, ret, error);

        if (r == 0 && ret->user && ret->system)
                r = error_set(error, -EINVAL, "--user and --system exclude each other");
        return r;
}

/* SIGHUP: the files are read again. What cannot change while it runs stays. */
static void on_reload(Client *c)
{
        Daemon *d = CONTAINER_OF(c, Daemon, client);
        Error error = {};
        Config fresh;

        if (read_config(d->argc, d->argv, &fresh, &error) < 0)
                log_error("Cannot reload, everything stays as it is: %s", error.text);
        else {
                client_reload(c, &fresh.client);
                log_notice("Reloaded the configuration");
        }
        client_config_clear(&fresh.client);
}

static int start(Daemon *d, Error *error)
{
        const ClientObserver observer = client_bus_observer(&d->bus);
        int r;

        r = client_start(&d->client, &observer, error);
        return r < 0 ? r : client_bus_open(&d->bus, error);
}

int main(int argc, char **argv)
{
        Daemon d = {.argc = argc, .argv = argv};
        Error error = {};
        Config config;
        int r, failure;

        r = read_config(argc, argv, &config, &error);
        failure = r < 0 ? EX_CONFIG : EXIT_FAILURE; /* the unit does not try the first again */
        d.client.config = config.client;
        d.client.on_reload = on_reload;
        d.bus.client = &d.client;
        d.bus.system = config.system || (!config.user && geteuid() == 0);
        if (r == 0)
                r = start(&d, &error);
        if (r < 0)
                log_error("ackgroup-client: %s", error.text[0] ? error.text : strerror(-r));
        else if (r == 0)
                r = loop_run(d.client.loop) == 0 ? 0 : -EIO;
        client_stop(&d.client);
        client_bus_clear(&d.bus);
        client_clear(&d.client);
        return r < 0 ? failure : EXIT_SUCCESS;
}
