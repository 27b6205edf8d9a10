/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/discovery.h"

#include <errno.h>

#include "base/log.h"
#include "base/random-pool.h"
#include "base/str-util.h"
#include "daemon/listening.h"
#include "daemon/paths.h"
#include "runtime/notify.h"

static void on_changed(Group *g, void *userdata)
{
        Discovery *d = userdata;

        lists_forget(&d->lists, g);
        long_polls_wake(&d->long_polls, g);
}

/* Each part needs the parts that are started before it. */
static int start_parts(Discovery *d)
{
        uint64_t hash_seed;
        sd_id128_t epoch;
        int r;

        r = random_uuid(NULL, epoch.bytes);
        if (r >= 0)
                r = random_bytes(&hash_seed, sizeof hash_seed);
        if (r < 0)
                return r;
        groups_init(&d->groups, hash_seed, epoch, on_changed, d);
        r = leases_init(&d->leases, d->config, d->loop, &d->groups, &d->save);
        if (r >= 0)
                r = save_init(&d->save, d->loop, d->db, &d->leases.index);
        lists_init(&d->lists, &d->leases);
        if (r >= 0)
                r = long_polls_init(&d->long_polls, d->loop, &d->lists);
        api_init(&d->api, d->config, &d->leases, &d->long_polls);
        return r;
}

/* The next start, one second later, begins with nothing; receivers register again. So nobody has to look at
 * it before the group goes on. */
static int set_aside(const char *path, Error *error)
{
        Damage damage = {};

        if (registry_set_aside(path, &damage) < 0)
                return error_set(error, -EIO, "%s is damaged, and cannot be copied", path);
        return error_set(error, -EIO, "%s is damaged: it is kept as %s, and receivers must register again",
                        path, damage.kept);
}

static int open_store(Discovery *d, const char *path, Error *error)
{
        int r = registry_open(path, &d->db, error);

        if (r < 0)
                return r;
        database_report_damage(d->db);
        r = start_parts(d);
        if (r < 0)
                return error_set(error, r, "cannot start: %s", strerror(-r));
        r = leases_load(&d->leases, d->db);
        if (r >= 0)
                r = database_start(&d->database, d->loop, d->db, NULL, NULL);
        d->database.damaged_status = EXIT_FAILURE; /* discovery_free() sets it aside */
        return r < 0 ? error_set(error, r, "cannot read %s: %s", path, strerror(-r)) : 0;
}

static int start_store(Discovery *d, Error *error)
{
        int r;

        r = paths_state_file(d->config->state_directory, "discovery", "registry.db", &d->path, error);
        if (r >= 0)
                r = open_store(d, d->path, error);
        return r == -EUCLEAN ? set_aside(d->path, error) : r;
}

/* A start reads less than all of it, so it would not find all damage. */
static void stop_store(Discovery *d)
{
        const bool damaged = d->database.gave_up;
        Error error = {};

        d->db = database_close(&d->database, d->db);
        if (damaged) {
                (void) set_aside(d->path, &error);
                log_error("%s", error.text);
        }
        free(d->path);
}

static int start_listening(Discovery *d, Error *error)
{
        _cleanup_free_ char *local = NULL, *tcp = str_format("tcp:127.0.0.1:%d", DISCOVERY_DEFAULT_PORT);
        char *defaults[] = {NULL, tcp, NULL};
        ListenSpec spec = {
                        .addresses = d->config->listen,
                        .defaults = defaults,
                        .parse = address_parse_url,
                        .allow_insecure = d->config->allow_insecure,
        };
        int r;

        if (!tcp)
                return -ENOMEM;
        /* Without a runtime directory there is no default, and Listen= must be given. */
        if (paths_socket(DISCOVERY_SOCKET, &local) >= 0)
                defaults[0] = local;
        r = listening_open(&d->listeners, &spec, error);
        if (r < 0)
                return r;
        d->servers = calloc(d->listeners.n, sizeof *d->servers);
        if (!d->servers)
                return -ENOMEM;
        for (size_t i = 0; i < d->listeners.n; i++) {
                const Listener *l = d->listeners.listeners + i;
                HttpService service = api_service(&d->api, l->address.kind == ADDRESS_UNIX);

                r = http_server_new(d->loop, l->fd, &service, d->servers + i);
                if (r < 0)
                        return error_set(error, r, "cannot serve HTTP: %s", strerror(-r));
        }
        return 0;
}

static void on_stop(void *userdata)
{
        Discovery *d = userdata;

        notify_stopping();
        loop_exit(d->loop, 0);
}

static int start(Discovery *d, Error *error)
{
        int r;

        r = loop_new(on_stop, d, &d->loop);
        if (r >= 0)
                r = service_start(&d->service, d->loop, database_is_alive, &d->database);
        if (r < 0)
                return error_set(error, r, "cannot start: %s", strerror(-r));
        r = start_store(d, error);
        return r < 0 ? r : start_listening(d, error);
}

int discovery_new(DiscoveryConfig *config, Discovery **ret, Error *error)
{
        int r;

        _cleanup_(discovery_freep) Discovery *d = calloc(1, sizeof *d);
        if (!d)
                return -ENOMEM;
        d->config = config;
        r = start(d, error);
        if (r < 0)
                return r;
        notify_ready();
        *ret = TAKE_PTR(d);
        return 0;
}

void discovery_reload(Discovery *d, const DiscoveryConfig *fresh)
{
        d->config->lease_usec = fresh->lease_usec;
        d->config->allow_tcp = fresh->allow_tcp;
}

Discovery *discovery_free(Discovery *d)
{
        if (!d)
                return NULL;
        long_polls_clear(&d->long_polls);
        for (size_t i = 0; d->servers && i < d->listeners.n; i++)
                http_server_free(d->servers[i]);
        free(d->servers);
        listeners_clear(&d->listeners);
        save_all(&d->save);
        stop_store(d);
        save_clear(&d->save);
        lists_clear(&d->lists);
        leases_clear(&d->leases);
        groups_clear(&d->groups);
        api_clear(&d->api);
        service_stop(&d->service);
        loop_free(d->loop);
        free(d);
        return NULL;
}
