/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/discovery.h"

#include <errno.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "base/log.h"
#include "base/str-util.h"
#include "discovery/api.h"
#include "discovery/leases.h"
#include "discovery/save.h"
#include "discovery/watch.h"
#include "runtime/conf.h"

static void on_rest(void *userdata)
{
        db_kick(((Discovery *) userdata)->db);
}

static int on_db(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Discovery *d = userdata;

        db_dispatch(d->db);
        return 0;
}

static int start_store(Discovery *d, Error *error)
{
        _cleanup_free_ char *path = NULL;
        int r;

        if (d->state_directory)
                r = mkdir_parents(d->state_directory, 0700);
        else
                r = conf_state_directory("discovery", &d->state_directory);
        if (r < 0)
                return error_set(error, r, "cannot make the state directory %s: %s",
                                d->state_directory ?: "", strerror(-r));
        path = str_format("%s/registry.db", d->state_directory);
        if (!path)
                return -ENOMEM;
        r = registry_open(path, &d->db, error);
        if (r < 0)
                return r;
        r = book_load(d);
        if (r >= 0)
                r = db_start(d->db);
        if (r >= 0)
                r = sd_event_add_io(loop_event(d->loop), &d->db_source, db_fd(d->db), EPOLLIN, on_db, d);
        if (r < 0)
                return error_set(error, r, "cannot read %s: %s", path, strerror(-r));
        loop_set_post(d->loop, on_rest, d);
        return 0;
}

static int listen_default(Discovery *d)
{
        _cleanup_free_ char *directory = NULL, *address = NULL, *tcp = NULL;
        int r;

        r = conf_runtime_directory(&directory);
        if (r < 0)
                return r;
        address = str_format("unix:%s/discovery.sock", directory);
        tcp = str_format("tcp:127.0.0.1:%d", DISCOVERY_DEFAULT_PORT);
        return !address || !tcp || strv_append(&d->listen, address) < 0 || strv_append(&d->listen, tcp) < 0
                               ? -ENOMEM
                               : 0;
}

static int start_listening(Discovery *d, Error *error)
{
        Address address;
        int r;

        r = listeners_inherit(&d->listeners, error);
        if (r == 0 && strv_length(d->listen) == 0)
                if (listen_default(d) < 0)
                        return error_set(error, -ENOMEM, "cannot find the runtime directory");
        for (size_t i = 0, n = r == 0 ? strv_length(d->listen) : 0; i < n && r >= 0; i++) {
                r = address_parse_url(d->listen[i], &address, error);
                if (r >= 0)
                        r = listeners_bind(&d->listeners, &address, 0660, error);
        }
        if (r >= 0)
                r = listeners_check_security(&d->listeners, d->allow_insecure, error);
        if (r < 0)
                return r;
        d->servers = calloc(d->listeners.n, sizeof *d->servers);
        for (size_t i = 0; i < d->listeners.n && d->servers; i++) {
                char text[ADDRESS_STRING_MAX];

                r = api_serve(d, d->listeners.listeners + i, d->servers + i);
                if (r < 0)
                        return error_set(error, r, "cannot serve HTTP: %s", strerror(-r));
                log_info("Listening on %s", address_format(&d->listeners.listeners[i].address, text));
        }
        return d->servers ? 0 : -ENOMEM;
}

/* A disk that has hung for so long will not come back by waiting: let systemd start us again. */
#define DISK_PATIENCE_USEC (30 * USEC_PER_SEC)

static bool is_alive(void *userdata)
{
        Discovery *d = userdata;

        return db_is_alive(d->db, DISK_PATIENCE_USEC);
}

static void on_reload(void *userdata)
{
        Discovery *d = userdata;

        d->on_reload(d);
}

int discovery_start(Discovery *d, Error *error)
{
        int r;

        r = sd_id128_randomize(&d->epoch);
        if (r >= 0 && getentropy(&d->seed, sizeof d->seed) < 0)
                r = -errno;
        if (r >= 0)
                r = loop_new(discovery_stop, on_reload, d, &d->loop);
        if (r >= 0)
                r = book_init(d);
        if (r >= 0)
                r = save_init(d);
        if (r >= 0)
                r = watch_init(d);
        if (r < 0)
                return error_set(error, r, "cannot start: %s", strerror(-r));
        loop_set_alive_check(d->loop, is_alive);
        r = start_store(d, error);
        if (r >= 0)
                r = start_listening(d, error);
        if (r >= 0)
                loop_notify_ready(d->loop);
        return r;
}

void discovery_stop(void *userdata)
{
        Discovery *d = userdata;

        loop_notify_stopping(d->loop);
        loop_exit(d->loop, 0);
}

void discovery_config_clear(Discovery *d)
{
        strv_free(d->listen);
        free(d->state_directory);
        free(d->log_level);
}

void discovery_clear(Discovery *d)
{
        watch_clear(d);
        for (size_t i = 0; d->servers && i < d->listeners.n; i++)
                http_server_free(d->servers[i]);
        free(d->servers);
        listeners_clear(&d->listeners);
        sd_event_source_disable_unref(d->db_source);
        save_all(d);
        d->db = db_close(d->db);
        save_clear(d);
        book_clear(d);
        api_clear(d);
        loop_free(d->loop);
        discovery_config_clear(d);
}
