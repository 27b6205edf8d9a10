/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/discovery.h"

#include <errno.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str-util.h"
#include "daemon/listening.h"
#include "daemon/paths.h"
#include "discovery/api.h"
#include "discovery/leases.h"
#include "discovery/save.h"
#include "discovery/watch.h"

static int start_store(Discovery *d, Error *error)
{
        _cleanup_free_ char *path = NULL;
        int r;

        r = paths_state_file(d->config->state_directory, "discovery", "registry.db", &path, error);
        if (r >= 0)
                r = registry_open(path, &d->db, error);
        if (r < 0)
                return r;
        r = book_load(d);
        if (r >= 0)
                r = database_start(&d->database, d->loop, d->db, NULL, NULL);
        return r < 0 ? error_set(error, r, "cannot read %s: %s", path, strerror(-r)) : 0;
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
        /* Without it the list is empty, and Listen= must be given. */
        if (paths_socket(DISCOVERY_SOCKET, &local) >= 0)
                defaults[0] = local;
        r = listening_open(&d->listeners, &spec, error);
        if (r < 0)
                return r;
        d->servers = calloc(d->listeners.n, sizeof *d->servers);
        if (!d->servers)
                return -ENOMEM;
        for (size_t i = 0; i < d->listeners.n; i++) {
                r = api_serve(d, d->listeners.listeners + i, d->servers + i);
                if (r < 0)
                        return error_set(error, r, "cannot serve HTTP: %s", strerror(-r));
        }
        return 0;
}

static void on_stop(void *userdata)
{
        Discovery *d = userdata;

        loop_notify_stopping(d->loop);
        loop_exit(d->loop, 0);
}

static int start(Discovery *d, Error *error)
{
        int r;

        r = sd_id128_randomize(&d->epoch);
        if (r >= 0 && getentropy(&d->seed, sizeof d->seed) < 0)
                r = -errno;
        if (r >= 0)
                r = loop_new(on_stop, NULL, d, &d->loop);
        if (r >= 0)
                r = book_init(d);
        if (r >= 0)
                r = save_init(d);
        if (r >= 0)
                r = watch_init(d);
        if (r < 0)
                return error_set(error, r, "cannot start: %s", strerror(-r));
        r = start_store(d, error);
        if (r >= 0)
                r = start_listening(d, error);
        return r;
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
        loop_notify_ready(d->loop);
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
        watch_clear(d);
        for (size_t i = 0; d->servers && i < d->listeners.n; i++)
                http_server_free(d->servers[i]);
        free(d->servers);
        listeners_clear(&d->listeners);
        save_all(d);
        d->db = database_close(&d->database, d->db);
        save_clear(d);
        book_clear(d);
        api_clear(d);
        loop_free(d->loop);
        free(d);
        return NULL;
}
