/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <malloc.h>
#include <sysexits.h>

#include "daemon/program.h"
#include "daemon/value-check.h"
#include "discovery/discovery.h"

#define MMAP_THRESHOLD      (256 << 10)
#define CONNECTIONS_DEFAULT 512u /* of one address */

#define ITEM(key, type, field)                                                                              \
        {                                                                                                   \
                "Discovery", key, type, offsetof(DiscoveryConfig, field), 0, 0                              \
        }

static const ConfItem items[] = {
                {"Discovery", "Listen", CONF_STRINGS, offsetof(DiscoveryConfig, listen), .check = check_url},
                ITEM("SeedApi", CONF_BOOL, seed_api),
                {"Discovery", "LeaseSec", CONF_DURATION, offsetof(DiscoveryConfig, lease_usec),
                                LEASE_MIN_USEC, 86400 * USEC_PER_SEC},
                ITEM("AllowTcpRegistration", CONF_BOOL, allow_tcp),
                ITEM("AllowInsecure", CONF_BOOL, allow_insecure),
                {"Discovery", "ConnectionsPerAddress", CONF_UNSIGNED,
                                offsetof(DiscoveryConfig, connections_per_address), 1, 4096},
                ITEM("StateDirectory", CONF_STRING, state_directory),
                {"Discovery", "LogLevel", CONF_STRING, offsetof(DiscoveryConfig, log_level),
                                .check = check_log_level},
                {},
};
static const char *const foreign[] = {"Receiver", "Client", NULL};
static const char *const live[] = {"LeaseSec", "AllowTcpRegistration", "LogLevel", NULL};
static const ConfTable table = {items, foreign, live};

static const Option rows[] = {
                {"listen", "Listen", OPTION_VALUE},
                {"seed-api", "SeedApi", OPTION_FLAG},
                {"lease", "LeaseSec", OPTION_VALUE},
                {"allow-tcp-registration", "AllowTcpRegistration", OPTION_FLAG},
                {"connections-per-address", "ConnectionsPerAddress", OPTION_VALUE},
                {"allow-insecure", "AllowInsecure", OPTION_FLAG},
                {},
};

static const char help[] = "Usage: ackgroup-discovery [OPTION…]\n\n"
                           "Keeps the list of receivers for the clients.\n\n"
                           "  --help, --version\n"
                           "  --check                     check the configuration, and end\n"
                           "  --config FILE               instead of ackgroup.conf\n"
                           "  --state-dir DIR             where the registry is kept\n"
                           "  --log-level LEVEL\n"
                           "  --listen ADDR               unix:PATH or tcp:HOST:PORT; repeatable\n"
                           "  --seed-api[=BOOL]           also answer /register, /heartbeat and /receivers, "
                           "without tokens\n"
                           "  --lease SEC                 a receiver without a heartbeat for this time is "
                           "removed (30)\n"
                           "  --allow-tcp-registration    allow registration over TCP, too\n"
                           "  --connections-per-address N connections of one TCP address at once (512)\n"
                           "  --allow-insecure            listen beyond loopback without TLS\n";

static const Options options = {
                .help = help,
                .section = "Discovery",
                .table = &table,
                .options = rows,
};

static const DiscoveryConfig defaults = {
                .lease_usec = LEASE_DEFAULT_USEC,
                .connections_per_address = CONNECTIONS_DEFAULT,
};

static int start(void *config, void **ret_root, Loop **ret_loop, Error *error)
{
        Discovery *d;
        int r;

        /* Large tables then have mappings of their own. When a table grows, the system gets its old memory
         * back; otherwise the holes would stay between the leases. */
        (void) mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
        r = discovery_new(config, &d, error);
        if (r < 0)
                return r == -EPERM ? EX_CONFIG : r; /* AllowInsecure= */
        *ret_root = d;
        *ret_loop = d->loop;
        return 0;
}

static int reload(void *root, void *fresh, Error *error)
{
        discovery_reload(root, fresh);
        return 0;
}

static void stop(void *root)
{
        discovery_free(root);
}

int main(int argc, char **argv)
{
        const Program program = {
                        .name = "ackgroup-discovery",
                        .options = &options,
                        .defaults = &defaults,
                        .config_size = sizeof defaults,
                        .start = start,
                        .reload = reload,
                        .free = stop,
        };

        return program_run(&program, argc, argv);
}
