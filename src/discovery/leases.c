/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/leases.h"

#include <errno.h>

#include "base/log.h"
#include "base/str-util.h"
#include "discovery/list.h"
#include "discovery/save.h"
#include "runtime/journal.h"
#include "wire/receiver-json.h"

/* A million take some seconds to be read; systemd is told that it goes on. */
#define LOAD_STEP      50000u
#define LOAD_STEP_USEC (60 * USEC_PER_SEC)

#define EXPIRY_AT_ONCE 4096u /* leases looked at before requests have their turn again */
/* When we were held up for so long (the machine was suspended), nobody can be blamed for his silence. */
#define HELD_UP_USEC USEC_PER_SEC

static uint32_t hash_id(const Discovery *d, sd_id128_t id)
{
        return index_hash(d->seed, &id, sizeof id);
}

static uint32_t hash_text(const Discovery *d, const char *text)
{
        return index_hash(d->seed, text, strlen(text));
}

Lease *book_find(Discovery *d, sd_id128_t id)
{
        IndexItem *i = index_first(&d->by_id, hash_id(d, id));

        while (i && !sd_id128_equal(CONTAINER_OF(i, Lease, id_item)->id, id))
                i = index_next(i);
        return i ? CONTAINER_OF(i, Lease, id_item) : NULL;
}

Lease *book_find_name(Discovery *d, const char *name)
{
        IndexItem *i = index_first(&d->by_name, hash_text(d, name));

        while (i && !str_equal(CONTAINER_OF(i, Lease, name_item)->texts, name))
                i = index_next(i);
        return i ? CONTAINER_OF(i, Lease, name_item) : NULL;
}

uint64_t book_due(const Discovery *d, const Lease *l)
{
        return MAX(lease_due(l), d->fresh_until);
}

uint64_t book_heard(const Discovery *d, const Lease *l)
{
        return l->renewed > d->loaded ? l->renewed : 0;
}

static void arm_expiry(Discovery *d)
{
        HeapItem *first = heap_first(&d->expiry);

        (void) timer_arm_at(&d->expiry_timer, first ? first->due : USEC_INFINITY);
}

/* It is looked at when it was due first; what heartbeats have added until then is seen there. */
void book_renew(Discovery *d, Lease *l)
{
        l->renewed = now_usec(CLOCK_BOOTTIME);
        l->lease_ms = (uint32_t) (d->config->lease_usec / USEC_PER_MSEC);

        uint64_t due = lease_due(l);
        if (l->expiry.position != HEAP_NOT_IN && l->expiry.due <= due)
                return;
        (void) !heap_put(&d->expiry, &l->expiry, due);
        if (heap_first(&d->expiry) == &l->expiry)
                arm_expiry(d);
}

static void remember_gone(Discovery *d, const Lease *l, bool moved)
{
        if (!d->gone)
                return;
        d->gone[d->n_gone++ % GONE_MAX] = (Gone){
                        .id = l->id,
                        .revision = d->revision,
                        .group = l->group->item.hash,
                        .moved = moved,
        };
}

static void drop_lease(Discovery *d, Lease *l)
{
        Group *g = l->group;

        shared_put(d, l->labels);
        lease_free(&d->slab, l);
        if (g)
                group_release(d, g);
}

/* 0, or -ENOMEM (never behind an unlink_lease()). */
static int link_lease(Discovery *d, Lease *l)
{
        if (index_add(&d->by_id, &l->id_item, hash_id(d, l->id)) < 0)
                return -ENOMEM;
        if (index_add(&d->by_name, &l->name_item, hash_text(d, l->texts)) < 0) {
                index_remove(&d->by_id, &l->id_item);
                return -ENOMEM;
        }
        if (heap_put(&d->expiry, &l->expiry, USEC_INFINITY) < 0) {
                index_remove(&d->by_id, &l->id_item);
                index_remove(&d->by_name, &l->name_item);
                return -ENOMEM;
        }
        group_add(d, &d->all, l);
        group_add(d, l->group, l);
        return 0;
}

static void unlink_lease(Discovery *d, Lease *l)
{
        index_remove(&d->by_id, &l->id_item);
        index_remove(&d->by_name, &l->name_item);
        heap_remove(&d->expiry, &l->expiry);
        group_take(d, &d->all, l);
        group_take(d, l->group, l);
}

/* It is the newest change of all, and of its group; it stands at the end already. */
static void announce(Discovery *d, Lease *l)
{
        l->revision = ++d->revision;
        group_touch(d, l->group, d->revision);
        group_touch(d, &d->all, d->revision);
}

void book_remove(Discovery *d, Lease *l)
{
        Group *g = l->group;
        bool first = heap_first(&d->expiry) == &l->expiry;

        d->revision++;
        remember_gone(d, l, false);
        save_removed(d, l);
        unlink_lease(d, l);
        group_touch(d, g, d->revision);
        group_touch(d, &d->all, d->revision);
        drop_lease(d, l);
        if (first)
                arm_expiry(d);
}

static Lease *make(Discovery *d, const ReceiverInfo *info)
{
        _cleanup_free_ char *labels = receiver_json_labels(info);
        Lease *l = labels ? lease_new(&d->slab, info) : NULL;

        if (!l)
                return NULL;
        l->labels = shared_get(d, labels);
        l->group = group_get(d, info->group);
        if (l->labels && l->group)
                return l;
        drop_lease(d, l);
        return NULL;
}

/* What stays of the one before it. */
static void take_over(Discovery *d, Lease *old, Lease *l)
{
        l->row = old->row;
        l->unsaved = old->unsaved;
        /* Its own registration does not end it. */
        l->draining = old->draining && sd_id128_equal(old->instance, l->instance);
}

int book_put(Discovery *d, const ReceiverInfo *info, sd_id128_t token, Lease **ret)
{
        Lease *old = book_find(d, info->id), *l = make(d, info);
        int r;

        if (!l)
                return -ENOMEM;
        l->token = token;
        if (old)
                take_over(d, old, l);
        if (old && lease_equal(old, l)) {
                drop_lease(d, l);
                book_renew(d, old);
                *ret = old;
                return 1;
        }
        if (!old && d->all.n_leases >= LEASES_MAX) {
                drop_lease(d, l);
                return -ENOSPC;
        }
        if (old)
                unlink_lease(d, old);
        else
                l->row = ++d->last_row;
        r = link_lease(d, l);
        if (r < 0) {
                drop_lease(d, l);
                return r;
        }
        book_renew(d, l);
        announce(d, l);
        if (old && old->group != l->group) {
                remember_gone(d, old, true);
                group_touch(d, old->group, d->revision);
        }
        if (old)
                drop_lease(d, old);
        save_lease(d, l);
        *ret = l;
        return 0;
}

void book_drain(Discovery *d, Lease *l, bool drain)
{
        if (l->draining == drain)
                return;
        l->draining = drain;
        group_take(d, &d->all, l);
        group_add(d, &d->all, l);
        group_take(d, l->group, l);
        group_add(d, l->group, l);
        announce(d, l);
        save_lease(d, l);
}

static void on_expiry(void *userdata)
{
        Discovery *d = userdata;
        uint64_t now = now_usec(CLOCK_BOOTTIME);
        HeapItem *first;

        if (timer_late(&d->expiry_timer) > HELD_UP_USEC) {
                log_notice("Held up for %" PRIu64 " s: every lease is fresh",
                                timer_late(&d->expiry_timer) / USEC_PER_SEC);
                d->fresh_until = usec_add(now, d->config->lease_usec);
        }
        for (unsigned n = 0; n < EXPIRY_AT_ONCE && (first = heap_first(&d->expiry)) && first->due <= now;
                        n++) {
                Lease *l = CONTAINER_OF(first, Lease, expiry);

                if (book_due(d, l) > now) {
                        (void) !heap_put(&d->expiry, first, book_due(d, l));
                        continue;
                }
                journal_event(JOURNAL_LOST,
                                &(JournalFields){.receiver = l->texts, .group = group_name(l->group)},
                                "Receiver %s is gone: no heartbeat", l->texts);
                book_remove(d, l);
        }
        arm_expiry(d);
}

static int on_stored(uint64_t row, sd_id128_t id, sd_id128_t token, const char *record, void *userdata)
{
        Discovery *d = userdata;
        ReceiverInfo info;
        Lease *l = NULL;
        int r;

        d->last_row = MAX(d->last_row, row);
        if (d->all.n_leases % LOAD_STEP == 0)
                loop_notify_extend(d->loop, LOAD_STEP_USEC);
        r = receiver_json_from_text(record, &info);
        if (r < 0) {
                log_warning_errno(r, "Passing over a stored receiver");
                return 0;
        }
        bool twice = book_find(d, info.id) || book_find_name(d, info.name);
        r = 0;
        if (!twice) {
                l = make(d, &info);
                r = l ? link_lease(d, l) : -ENOMEM;
        }
        receiver_info_clear(&info);
        if (r < 0 && l)
                drop_lease(d, l);
        if (r < 0 || twice)
                return r;
        l->token = token, l->row = row;
        l->revision = l->group->revision = d->all.revision = ++d->revision;
        book_renew(d, l);
        return 0;
}

int book_load(Discovery *d)
{
        int r = registry_load(d->db, on_stored, d);

        d->loaded = now_usec(CLOCK_BOOTTIME);
        return r;
}

int book_init(Discovery *d)
{
        d->gone = calloc(GONE_MAX, sizeof *d->gone);
        if (!d->gone)
                return -ENOMEM;
        return timer_init(&d->expiry_timer, d->loop, "lease-expiry", on_expiry, d);
}

void book_clear(Discovery *d)
{
        heap_clear(&d->expiry);
        for (Lease *l = d->all.first, *next; l; l = next) {
                next = l->next;
                group_take(d, l->group, l);
                drop_lease(d, l);
        }
        list_forget(d, &d->all);
        index_clear(&d->by_id);
        index_clear(&d->by_name);
        index_clear(&d->groups);
        index_clear(&d->labels);
        slab_clear(&d->slab);
        timer_clear(&d->expiry_timer);
        free(d->gone);
}
