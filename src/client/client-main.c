/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str-util.h"
#include "client/client-bus.h"
#include "runtime/options.h"

typedef struct Config {
        ClientBus bus;
        bool user, system;
} Config;

#define CLIENT(field) offsetof(Config, bus.client.field)

static const ConfItem items[] = {
                {"Client",     "User", CONF_BOOL, offsetof(Config, user), 0, 0},
                {"Client",   "System", CONF_BOOL, offsetof(Config, system), 0, 0},
                {"Client",       "Discovery", CONF_STRING, CLIENT(discovery), 0, 0},
                {"Client",           "AckTimeoutSec", CONF_DURATION, CLIENT(ack_timeout_usec), 100 * USEC_PER_MSEC,
                 86400 * USEC_PER_SEC},
                {"Client",     "MaxPayload", CONF_SIZE, CLIENT(max_payload), 1, PAYLOAD_MAX},
                {"Client",   "OutboxLimit", CONF_UNSIGNED, CLIENT(outbox_limit), 1, 0},
                {"Client",     "History", CONF_UNSIGNED, CLIENT(history), 0, 1000000},
                {"Client",           "StateDirectory", CONF_STRING, CLIENT(state_directory), 0, 0},
                {"Client",     "LogLevel", CONF_STRING, CLIENT(log_level), 0, 0},
                {          },
};
static const char *const foreign[] = {"Discovery", "Receiver", NULL};
static const ConfTable table = {items, foreign};

static const Option rows[] = {
                {"user",        "User", OPTION_FLAG},
                {"system",  "System", OPTION_FLAG},
                {"discovery",      "Discovery", OPTION_VALUE},
                {"ack-timeout",  "AckTimeoutSec", OPTION_VALUE},
                {"max-payload",   "MaxPayload", OPTION_VALUE},
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
                "  --max-payload SIZE   of one message (1M, at most 16M)\n"
                "  --outbox-limit N     messages that may wait; more are refused (1000000)\n"
                "  --history N          acked and cancelled messages to keep for looking at (1000)\n";

static const Options options = {.help = help, .section = "Client", .table = &table, .options = rows};

int main(int argc, char **argv)
{
        Config config = {
                        .bus.client =
                                        {
                                                     .ack_timeout_usec = ACK_TIMEOUT_DEFAULT,
                                                     .max_payload = PAYLOAD_DEFAULT_MAX,
                                                     .outbox_limit = OUTBOX_DEFAULT_MAX,
                                                     .history = HISTORY_DEFAULT_MAX,
                                                     },
        };
        ClientBus *b = &config.bus;
        Error error = {};
        int r = options_read(&options, argc, argv, &config, &error);

        if (r == 0 && config.user && config.system)
                r = error_set(&error, -EINVAL, "--user and --system exclude each other");
        b->system = config.system || (!config.user && geteuid() == 0);
        if (r == 0)
                r = client_bus_start(b, &error);
        if (r < 0)
                log_error("ackgroup-client: %s", error.text[0] ? error.text : strerror(-r));
        else if (r == 0)
                r = loop_run(b->client.loop) == 0 ? 0 : -EIO;
        client_bus_clear(b);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
