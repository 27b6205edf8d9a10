/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/leases.h"

#include <errno.h>
#include <inttypes.h>

#include "base/log.h"
#include "base/str-util.h"
#include "runtime/journal.h"
#include "runtime/notify.h"
#include "wire/receiver-json.h"

/* To read a million takes some seconds: systemd gets a sign of life for each step. */
#define LOAD_STEP      50000u
#define LOAD_STEP_USEC (60 * USEC_PER_SEC)

#define EXPIRY_AT_ONCE 4096u /* leases looked at before requests have their turn again */
/* When the loop was held up for so long (the machine was suspended), heartbeats may wait unread. */
#define HELD_UP_USEC USEC_PER_SEC

uint64_t leases_due(const Leases *ls, const Lease *l)
{
        return MAX(lease_due(l), ls->fresh_until);
}

uint64_t leases_heard(const Leases *ls, const Lease *l)
{
        return l->renewed > ls->loaded ? l->renewed : 0;
}

static void arm_expiry(Leases *ls)
{
        HeapItem *first = heap_first(&ls->expiry);

        (void) timer_arm_at(&ls->expiry_timer, first ? first->due : USEC_INFINITY);
}

/* The lease stays where it is in the heap, unless it now ends earlier. When its old time comes, on_expiry()
 * sees that it was renewed. */
void leases_renew(Leases *ls, Lease *l)
{
        l->renewed = now_usec(CLOCK_BOOTTIME);
        l->lease_ms = (uint32_t) (ls->config->lease_usec / USEC_PER_MSEC);

        uint64_t due = lease_due(l);
        if (l->expiry.position != HEAP_NOT_IN && l->expiry.due <= due)
                return;
        (void) !heap_put(&ls->expiry, &l->expiry, due);
        if (heap_first(&ls->expiry) == &l->expiry)
                arm_expiry(ls);
}

static void add_tombstone(Leases *ls, const Lease *l, bool moved)
{
        tombstones_add(&ls->tombstones, &(Tombstone){
                                                        .id = l->id,
                                                        .revision = ls->groups->revision,
                                                        .group_hash = l->group->item.hash,
                                                        .moved = moved,
                                        });
}

static void drop_lease(Leases *ls, Lease *l)
{
        Group *g = l->group;

        interned_text_put(&ls->labels, l->labels);
        interned_text_put(&ls->labels, l->host);
        lease_free(&ls->slab, l);
        if (g)
                group_release(ls->groups, g);
}

/* 0 or -ENOMEM; a link that follows an unlink never fails. */
static int link_lease(Leases *ls, Lease *l)
{
        if (lease_index_add(&ls->index, l) < 0)
                return -ENOMEM;
        if (heap_put(&ls->expiry, &l->expiry, USEC_INFINITY) < 0) {
                lease_index_remove(&ls->index, l);
                return -ENOMEM;
        }
        groups_link(ls->groups, l);
        return 0;
}

static void unlink_lease(Leases *ls, Lease *l)
{
        lease_index_remove(&ls->index, l);
        heap_remove(&ls->expiry, &l->expiry);
        groups_unlink(ls->groups, l);
}

void leases_remove(Leases *ls, Lease *l)
{
        bool first = heap_first(&ls->expiry) == &l->expiry;

        (void) groups_next_revision(ls->groups);
        add_tombstone(ls, l, false);
        save_removed(ls->save, l);
        unlink_lease(ls, l);
        group_touch(ls->groups, l->group);
        group_touch(ls->groups, &ls->groups->all);
        drop_lease(ls, l);
        if (first)
                arm_expiry(ls);
}

static Lease *make_lease(Leases *ls, const ReceiverInfo *info)
{
        _cleanup_free_ char *labels = receiver_json_labels(info);
        _cleanup_free_ char *host = receiver_json_host(&info->host);
        Lease *l = labels && host ? lease_new(&ls->slab, info) : NULL;

        if (!l)
                return NULL;
        l->labels = interned_text_get(&ls->labels, labels);
        l->host = interned_text_get(&ls->labels, host);
        l->group = group_get(ls->groups, info->group);
        if (l->labels && l->host && l->group)
                return l;
        drop_lease(ls, l);
        return NULL;
}

static void inherit(Lease *l, const Lease *old)
{
        l->row = old->row;
        l->unsaved = old->unsaved;
        /* A receiver that registers again goes on draining; one that has restarted does not. */
        l->draining = old->draining && sd_id128_equal(old->instance, l->instance);
}

/* Puts `l` in the place of `old` (NULL: it is new). Frees `l` when it fails, else `old`. */
static int replace_lease(Leases *ls, Lease *old, Lease *l)
{
        int r;

        if (old)
                unlink_lease(ls, old);
        else
                l->row = save_new_row(ls->save);
        r = link_lease(ls, l);
        if (r < 0) {
                drop_lease(ls, l);
                return r;
        }
        leases_renew(ls, l);
        groups_announce(ls->groups, l);
        if (old && old->group != l->group) {
                add_tombstone(ls, old, true);
                group_touch(ls->groups, old->group);
        }
        if (old)
                drop_lease(ls, old);
        save_lease(ls->save, l);
        return 0;
}

int leases_put(Leases *ls, const ReceiverInfo *info, sd_id128_t token, Lease **ret)
{
        Lease *old = lease_index_find(&ls->index, info->id), *l = make_lease(ls, info);
        int r;

        if (!l)
                return -ENOMEM;
        l->token = token;
        if (old)
                inherit(l, old);
        if (old && lease_equal(old, l)) {
                drop_lease(ls, l);
                leases_renew(ls, old);
                *ret = old;
                return 1;
        }
        if (!old && ls->groups->all.n_leases >= LEASES_MAX) {
                drop_lease(ls, l);
                return -ENOSPC;
        }
        r = replace_lease(ls, old, l);
        if (r >= 0)
                *ret = l;
        return r;
}

void leases_drain(Leases *ls, Lease *l, bool drain)
{
        if (l->draining == drain)
                return;
        l->draining = drain;
        groups_unlink(ls->groups, l);
        groups_link(ls->groups, l);
        groups_announce(ls->groups, l);
        save_lease(ls->save, l);
}

static void on_expiry(void *userdata)
{
        Leases *ls = userdata;
        uint64_t now = now_usec(CLOCK_BOOTTIME), late = timer_late(&ls->expiry_timer);
        HeapItem *first;

        if (late > HELD_UP_USEC) {
                log_notice("Held up for %" PRIu64 " s: every lease is fresh", late / USEC_PER_SEC);
                ls->fresh_until = usec_add(now, ls->config->lease_usec);
        }
        for (unsigned n = 0; n < EXPIRY_AT_ONCE && (first = heap_first(&ls->expiry)) && first->due <= now;
                        n++) {
                Lease *l = CONTAINER_OF(first, Lease, expiry);

                if (leases_due(ls, l) > now) {
                        (void) !heap_put(&ls->expiry, first, leases_due(ls, l));
                        continue;
                }
                journal_event(JOURNAL_LOST,
                                &(JournalFields){.receiver = lease_name(l), .group = l->group->name},
                                "Receiver %s is gone: no heartbeat", lease_name(l));
                leases_remove(ls, l);
        }
        arm_expiry(ls);
}

/* 0; 1: another one has its id or name; -ENOMEM. */
static int load_lease(Leases *ls, uint64_t row, sd_id128_t token, const ReceiverInfo *info)
{
        Lease *l;
        int r;

        if (lease_index_find(&ls->index, info->id) || lease_index_find_name(&ls->index, info->name))
                return 1;
        l = make_lease(ls, info);
        if (!l)
                return -ENOMEM;
        r = link_lease(ls, l);
        if (r < 0) {
                drop_lease(ls, l);
                return r;
        }
        l->token = token, l->row = row;
        groups_announce(ls->groups, l);
        leases_renew(ls, l);
        return 0;
}

static int on_stored(uint64_t row, sd_id128_t id, sd_id128_t token, const char *record, void *userdata)
{
        Leases *ls = userdata;
        ReceiverInfo info;
        int r;

        save_row_is_used(ls->save, row);
        if (ls->groups->all.n_leases % LOAD_STEP == 0)
                notify_extend(LOAD_STEP_USEC);
        r = receiver_json_from_text(record, &info);
        if (r < 0) {
                log_warning_errno(r, "Cannot read a stored receiver, ignoring it");
                return 0;
        }
        r = load_lease(ls, row, token, &info);
        receiver_info_clear(&info);
        return MIN(r, 0);
}

int leases_load(Leases *ls, Db *db)
{
        int r = registry_load(db, on_stored, ls);

        ls->loaded = now_usec(CLOCK_BOOTTIME);
        return r;
}

int leases_init(Leases *ls, const DiscoveryConfig *config, Loop *loop, Groups *groups, Save *save)
{
        int r;

        *ls = (Leases){
                        .config = config,
                        .groups = groups,
                        .save = save,
                        .index.hash_seed = groups->hash_seed,
                        .labels.hash_seed = groups->hash_seed,
        };
        r = tombstones_init(&ls->tombstones);
        return r < 0 ? r : timer_init(&ls->expiry_timer, loop, "lease-expiry", on_expiry, ls);
}

void leases_clear(Leases *ls)
{
        heap_clear(&ls->expiry);
        for (Lease *l; ls->groups && (l = ls->groups->all.first);) {
                groups_unlink(ls->groups, l);
                drop_lease(ls, l);
        }
        lease_index_clear(&ls->index);
        interned_texts_clear(&ls->labels);
        slab_clear(&ls->slab);
        timer_clear(&ls->expiry_timer);
        tombstones_clear(&ls->tombstones);
}
