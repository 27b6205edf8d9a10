/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"
#include "base/str-util.h"
#include "discovery/discovery.h"
#include "runtime/options.h"

#define ITEM(key, type, field)                                                                              \
        {                                                                                                   \
                "Discovery", key, type, offsetof(Discovery, field), 0, 0                                    \
        }

static const ConfItem items[] = {
                ITEM("Listen", CONF_STRINGS, listen),
                ITEM("SeedApi", CONF_BOOL, seed_api),
                {"Discovery",    "LeaseSec", CONF_DURATION, offsetof(Discovery, lease_usec), USEC_PER_SEC,
                                                  86400 * USEC_PER_SEC},
                ITEM("AllowTcpRegistration", CONF_BOOL, allow_tcp),
                ITEM("AllowInsecure", CONF_BOOL, allow_insecure),
                ITEM("StateDirectory", CONF_STRING, state_directory),
                ITEM("LogLevel", CONF_STRING, log_level),
                {  },
};
static const char *const foreign[] = {"Receiver", "Client", NULL};
static const ConfTable table = {items, foreign};

static const Option rows[] = {
                {"listen",                 "Listen", OPTION_VALUE},
                {"seed-api",            "SeedApi", OPTION_FLAG},
                {"lease",               "LeaseSec", OPTION_VALUE},
                {"allow-tcp-registration",             "AllowTcpRegistration", OPTION_FLAG},
                {"allow-insecure",                  "AllowInsecure", OPTION_FLAG},
                {},
};

static const char help[] =
                "Usage: ackgroup-discovery [OPTION…]\n\n"
                "Tells clients which receivers are there.\n\n"
                "  --help, --version\n"
                "  --config FILE               instead of ackgroup.conf\n"
                "  --state-dir DIR             where the registry is kept\n"
                "  --log-level LEVEL\n"
                "  --listen ADDR               unix:PATH or tcp:HOST:PORT; repeatable\n"
                "  --seed-api[=BOOL]           also /register, /heartbeat and /receivers, without tokens\n"
                "  --lease SEC                 a receiver silent for so long is gone (30)\n"
                "  --allow-tcp-registration    take registrations over TCP too\n"
                "  --allow-insecure            listen beyond loopback without TLS\n";

static const Options options = {
                .help = help,
                .section = "Discovery",
                .table = &table,
                .options = rows,
};

int main(int argc, char **argv)
{
        Discovery d = {.lease_usec = LEASE_DEFAULT_USEC};
        Error error = {};
        int r = options_read(&options, argc, argv, &d, &error);

        if (r == 0)
                r = discovery_start(&d, &error);
        if (r < 0)
                log_error("ackgroup-discovery: %s", error.text[0] ? error.text : strerror(-r));
        else if (r == 0)
                r = loop_run(d.loop);
        discovery_clear(&d);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
