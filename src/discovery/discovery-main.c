/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <stdio.h>

#include "base/log.h"
#include "base/str-util.h"
#include "discovery/discovery.h"
#include "runtime/conf.h"

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

static const struct option options[] = {
                {"help",             no_argument, NULL, 'h'},
                {"version",              no_argument, NULL, 'v'},
                {"config",                  required_argument, NULL, 'c'},
                {"listen",required_argument, NULL, 0},
                {"seed-api",               optional_argument, NULL, 1},
                {"lease",           required_argument, NULL, 2},
                {"allow-tcp-registration",              optional_argument, NULL, 3},
                {"allow-insecure",                  optional_argument, NULL, 4},
                {"state-dir",        required_argument, NULL, 5},
                {"log-level",                 required_argument, NULL, 6},
                {             },
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

static int read_config(const char *path, Discovery *d, Error *error)
{
        _cleanup_free_ char *directory = NULL, *file = NULL;

        if (path)
                return conf_read(&table, path, false, d, error);
        int r = conf_directory(&directory);
        if (r < 0)
                return r;
        file = str_format("%s/ackgroup.conf", directory);
        return file ? conf_read(&table, file, true, d, error) : -ENOMEM;
}

/* Two passes: the file first, whose values the command line overrides. */
static int configure(int argc, char **argv, Discovery *d, Error *error)
{
        const char *config = NULL;
        bool first_listen = true;
        int c, i, r = 0;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
                if (c == 'h' || c == 'v') {
                        printf("%s", c == 'h' ? help : "ackgroup " ACKGROUP_VERSION "\n");
                        return 1;
                }
                if (c == '?')
                        return error_set(error, -EINVAL, "see --help");
                if (c == 'c')
                        config = optarg;
        }
        if (optind < argc)
                return error_set(error, -EINVAL, "unexpected argument \"%s\"", argv[optind]);
        r = read_config(config, d, error);
        optind = 0;
        while (r >= 0 && (c = getopt_long(argc, argv, "h", options, &i)) != -1) {
                if (c == 'c')
                        continue;
                if (c == 0 && first_listen)
                        d->listen = strv_free(d->listen), first_listen = false;
                r = conf_set(&table, "Discovery", items[c].key, optarg ?: "yes", options[i].name, d, error);
        }
        if (r >= 0 && d->log_level) {
                r = log_level_from_string(d->log_level);
                if (r < 0)
                        return error_set(error, r, "unknown log level \"%s\"", d->log_level);
                log_set_level(r);
        }
        return r < 0 ? r : 0;
}

int main(int argc, char **argv)
{
        Discovery d = {.lease_usec = LEASE_DEFAULT_USEC};
        Error error = {};
        int r = configure(argc, argv, &d, &error);

        if (r == 0)
                r = discovery_start(&d, &error);
        if (r < 0)
                log_error("ackgroup-discovery: %s", error.text[0] ? error.text : strerror(-r));
        else if (r == 0)
                r = loop_run(d.loop);
        discovery_clear(&d);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
