/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"
#include "base/str-util.h"
#include "discovery/discovery.h"
#include "runtime/options.h"
#include <errno.h>
#include <malloc.h>
#include <sysexits.h>

#define MMAP_THRESHOLD      (256 << 10)
#define CONNECTIONS_DEFAULT 512u /* of one address */

#define ITEM(key, type, field)                                                                              \
        {                                                                                                   \
                "Discovery", key, type, offsetof(Discovery, field), 0, 0                                    \
        }

static const ConfItem items[] = {
                ITEM("Listen", CONF_STRINGS, listen),
                ITEM("SeedApi", CONF_BOOL, seed_api),
                {"Discovery", "LeaseSec", CONF_DURATION, offsetof(Discovery, lease_usec), LEASE_MIN_USEC,
                                86400 * USEC_PER_SEC},
                ITEM("AllowTcpRegistration", CONF_BOOL, allow_tcp),
                ITEM("AllowInsecure", CONF_BOOL, allow_insecure),
                {"Discovery", "ConnectionsPerAddress", CONF_UNSIGNED,
                                offsetof(Discovery, connections_per_address), 1, 4096},
                ITEM("StateDirectory", CONF_STRING, state_directory),
                ITEM("LogLevel", CONF_STRING, log_level),
                {},
};
static const char *const foreign[] = {"Receiver", "Client", NULL};
static const ConfTable table = {items, foreign};

static const Option rows[] = {
                {"listen", "Listen", OPTION_VALUE},
                {"seed-api", "SeedApi", OPTION_FLAG},
                {"lease", "LeaseSec", OPTION_VALUE},
                {"allow-tcp-registration", "AllowTcpRegistration", OPTION_FLAG},
                {"connections-per-address", "ConnectionsPerAddress", OPTION_VALUE},
                {"allow-insecure", "AllowInsecure", OPTION_FLAG},
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
                "  --connections-per-address N of one TCP address at once (512)\n"
                "  --allow-insecure            listen beyond loopback without TLS\n";

static const Options options = {
                .help = help,
                .section = "Discovery",
                .table = &table,
                .options = rows,
};

static int arg_count;
static char **arg_values;

/* SIGHUP: the files are read again; what cannot change while it runs stays. */
static void on_reload(Discovery *d)
{
        Discovery fresh = {.lease_usec = LEASE_DEFAULT_USEC, .connections_per_address = CONNECTIONS_DEFAULT};
        Error error = {};

        if (options_read(&options, arg_count, arg_values, &fresh, &error) < 0)
                log_error("Cannot reload, everything stays as it is: %s", error.text);
        else {
                d->lease_usec = fresh.lease_usec;
                d->allow_tcp = fresh.allow_tcp;
                log_notice("Reloaded the configuration");
        }
        discovery_config_clear(&fresh);
}

int main(int argc, char **argv)
{
        Discovery d = {
                        .lease_usec = LEASE_DEFAULT_USEC,
                        .connections_per_address = CONNECTIONS_DEFAULT,
                        .on_reload = on_reload,
        };
        Error error = {};

        /* Tables that grow give back what they leave; else it stays between the leases. */
        (void) mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
        arg_count = argc, arg_values = argv;
        int r = options_read(&options, argc, argv, &d, &error);

        int failure = r < 0 ? EX_CONFIG : EXIT_FAILURE; /* the unit does not try the first again */

        if (r == 0)
                r = discovery_start(&d, &error);
        if (r == -EPERM) /* AllowInsecure= */
                failure = EX_CONFIG;
        if (r < 0)
                log_error("ackgroup-discovery: %s", error.text[0] ? error.text : strerror(-r));
        else if (r == 0)
                r = loop_run(d.loop);
        discovery_clear(&d);
        return r < 0 ? failure : EXIT_SUCCESS;
}
