/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/discovery.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/fd-util.h"
#include "base/log.h"
#include "base/str-util.h"
#include "discovery/discovery-api.h"
#include "discovery/discovery-watch.h"
#include "runtime/conf.h"
#include "wire/receiver-json.h"

const char *discovery_revision(const Discovery *d, char buffer[static REVISION_MAX])
{
        char epoch[SD_ID128_STRING_MAX];

        (void) snprintf(buffer, REVISION_MAX, "%.12s-%" PRIu64, sd_id128_to_string(d->epoch, epoch),
                        d->revision);
        return buffer;
}

Lease *discovery_find(Discovery *d, sd_id128_t id)
{
        Lease *l;

        HASH_FIND(hh_id, d->by_id, &id, sizeof id, l);
        return l;
}

Lease *discovery_find_name(Discovery *d, const char *name)
{
        Lease *l;

        HASH_FIND(hh_name, d->by_name, name, strlen(name), l);
        return l;
}

static void changed(Discovery *d)
{
        d->revision++;
        watch_changed(d);
}

static void arm_expiry(Discovery *d)
{
        HeapItem *first = heap_first(&d->expiry);

        (void) timer_arm_at(&d->expiry_timer, first ? first->due : USEC_INFINITY);
}

static void unlink_lease(Discovery *d, Lease *l)
{
        HASH_DELETE(hh_id, d->by_id, l);
        HASH_DELETE(hh_name, d->by_name, l);
        heap_remove(&d->expiry, &l->expiry);
        receiver_info_clear(&l->info);
        free(l);
}

void discovery_remove(Discovery *d, Lease *l)
{
        (void) registry_remove(d->db, l->info.id);
        unlink_lease(d, l);
        arm_expiry(d);
        changed(d);
}

void discovery_renew(Discovery *d, Lease *l)
{
        l->seen = now_usec(CLOCK_REALTIME);
        (void) !heap_put(&d->expiry, &l->expiry, usec_add(now_usec(CLOCK_BOOTTIME), d->lease_usec));
        arm_expiry(d);
}

static void on_expiry(void *userdata)
{
        Discovery *d = userdata;
        HeapItem *first;

        while ((first = heap_first(&d->expiry)) && first->due <= now_usec(CLOCK_BOOTTIME)) {
                Lease *l = CONTAINER_OF(first, Lease, expiry);
                log_info("Receiver %s is gone: no heartbeat", l->info.name);
                discovery_remove(d, l);
        }
        arm_expiry(d);
}

static int add_lease(Discovery *d, ReceiverInfo *info, sd_id128_t token, Lease **ret)
{
        Lease *l = calloc(1, sizeof *l);

        if (!l)
                return -ENOMEM;
        heap_item_init(&l->expiry);
        if (heap_put(&d->expiry, &l->expiry, usec_add(now_usec(CLOCK_BOOTTIME), d->lease_usec)) < 0) {
                free(l);
                return -ENOMEM;
        }
        l->info = *info, l->token = token;
        *info = (ReceiverInfo){};
        HASH_ADD(hh_id, d->by_id, info.id, sizeof l->info.id, l);
        HASH_ADD_KEYPTR(hh_name, d->by_name, l->info.name, strlen(l->info.name), l);
        discovery_renew(d, l);
        *ret = l;
        return 0;
}

int discovery_put(Discovery *d, ReceiverInfo *info, sd_id128_t token, Lease **ret)
{
        _cleanup_free_ char *text = receiver_json_to_text(info);
        Lease *old = discovery_find(d, info->id);
        bool same = old && receiver_info_equal(&old->info, info);
        int r;

        if (!text)
                return -ENOMEM;
        if (!old && HASH_CNT(hh_id, d->by_id) >= LEASES_MAX)
                return -ENOSPC;
        if (old)
                unlink_lease(d, old);
        r = add_lease(d, info, token, ret);
        if (r < 0)
                return r;
        (void) registry_put(d->db, (*ret)->info.id, token, text);
        if (!same)
                changed(d);
        return 0;
}

static int on_stored(sd_id128_t id, sd_id128_t token, const char *record, void *userdata)
{
        ReceiverInfo info;
        Lease *l;
        int r;

        r = receiver_json_from_text(record, &info);
        if (r < 0) {
                log_warning_errno(r, "Passing over a stored receiver");
                return 0;
        }
        r = discovery_find_name(userdata, info.name) ? 0 : add_lease(userdata, &info, token, &l);
        receiver_info_clear(&info);
        return r;
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
        r = registry_load(d->db, on_stored, d);
        if (r >= 0)
                r = db_start(d->db);
        if (r >= 0)
                r = sd_event_add_io(loop_event(d->loop), &d->db_source, db_fd(d->db), EPOLLIN, on_db, d);
        return r < 0 ? error_set(error, r, "cannot read %s: %s", path, strerror(-r)) : 0;
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

int discovery_start(Discovery *d, Error *error)
{
        int r;

        r = sd_id128_randomize(&d->epoch);
        if (r >= 0)
                r = loop_new(discovery_stop, NULL, d, &d->loop);
        if (r >= 0)
                r = timer_init(&d->expiry_timer, loop_event(d->loop), "lease-expiry", on_expiry, d);
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

void discovery_clear(Discovery *d)
{
        Lease *l, *next;

        watch_clear(d);
        for (size_t i = 0; d->servers && i < d->listeners.n; i++)
                http_server_free(d->servers[i]);
        free(d->servers);
        listeners_clear(&d->listeners);
        sd_event_source_disable_unref(d->db_source);
        db_close(d->db);
        HASH_ITER(hh_id, d->by_id, l, next) {
                unlink_lease(d, l);
        }
        heap_clear(&d->expiry);
        timer_clear(&d->expiry_timer);
        loop_free(d->loop);
        strv_free(d->listen);
        free(d->state_directory);
        free(d->log_level);
}
