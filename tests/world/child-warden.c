/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The second process of a receiver, which outlives it until its handlers are dead. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "world/child-group.h"
#include "world/disk.h"

struct ChildWarden {
        Owned owned;
        Process *receiver;
        pid_t *groups;
        size_t n, allocated;
        int fd, lock_fd;
        bool is_dead;
        WorldCall act; /* after the receiver is gone */
        uint64_t due, left;
        ChildWarden *prev, *next;
};

static struct {
        ChildWarden *all;
        uint64_t min, max;
} wardens;

void warden_world_begin(void)
{
        memset(&wardens, 0, sizeof wardens);
}

void child_set_warden_delay(uint64_t min_usec, uint64_t max_usec)
{
        wardens.min = min_usec;
        wardens.max = max_usec;
}

static void warden_free(ChildWarden *w)
{
        owned_remove(&w->owned);
        event_unset(&w->act);
        DL_DELETE(wardens.all, w);
        fd_free(w->fd);
        if (!w->is_dead)
                disk_unshare_lock(w->lock_fd);
        free(w->groups);
        free(w);
}

void warden_world_end(void)
{
        while (wardens.all)
                warden_free(wardens.all);
}

static void kill_groups(ChildWarden *w)
{
        for (size_t i = 0; i < w->n; i++)
                group_kill_number(w->groups[i]);
        w->n = 0;
}

static void on_act(void *userdata)
{
        ChildWarden *w = userdata;
        kill_groups(w);
        warden_free(w);
}

static void act_in(ChildWarden *w, uint64_t usec)
{
        w->left = USEC_INFINITY;
        w->due = usec_add(world_now(), usec);
        event_set(&w->act, w->due);
}

static void reclaim(Owned *o)
{
        ChildWarden *w = CONTAINER_OF(o, ChildWarden, owned);

        fd_free(w->fd);
        w->fd = -1;
        if (w->is_dead || !machine_is_on(process_machine(w->receiver))) {
                warden_free(w);
                return;
        }
        act_in(w, world_random_between(wardens.min, wardens.max));
}

static bool is_ready(int fd, uint32_t events, void *userdata)
{
        return ((ChildWarden *) userdata)->is_dead;
}

ChildWarden *child_warden_new(int lock_fd)
{
        HOST_SCOPE;
        ChildWarden *w = calloc(1, sizeof *w);

        assert(w);
        w->receiver = process_current();
        w->fd = fd_new(is_ready, w);
        w->lock_fd = lock_fd;
        disk_share_lock(lock_fd);
        w->left = USEC_INFINITY;
        w->act = (WorldCall){.fn = on_act, .userdata = w};
        heap_item_init(&w->act.item);
        DL_APPEND(wardens.all, w);
        owned_add(&w->owned, reclaim);
        return w;
}

int child_warden_fd(const ChildWarden *w)
{
        return w->fd;
}

bool child_warden_is_alive(const Warden *w)
{
        return !((ChildWarden *) fd_userdata(w->pidfd))->is_dead;
}

void child_warden_add(const Warden *warden, pid_t group)
{
        HOST_SCOPE;
        ChildWarden *w = fd_userdata(warden->pidfd);

        if (w->n == w->allocated) {
                w->allocated = MAX(2 * w->allocated, 16u);
                w->groups = reallocarray(w->groups, w->allocated, sizeof *w->groups);
                assert(w->groups);
        }
        w->groups[w->n++] = group;
}

void child_warden_remove(const Warden *warden, pid_t group)
{
        ChildWarden *w = fd_userdata(warden->pidfd);

        for (size_t i = 0; i < w->n; i++)
                if (w->groups[i] == group) {
                        w->groups[i] = w->groups[--w->n];
                        return;
                }
}

void child_warden_stop(ChildWarden *w)
{
        /* While it reacts, the receiver waits, and may be killed. */
        if (w->n > 0 && !w->is_dead)
                thread_pause(world_random_between(wardens.min, wardens.max));
        HOST_SCOPE;

        if (!w->is_dead)
                kill_groups(w);
        warden_free(w);
}

void child_kill_warden(Process *p)
{
        ChildWarden *w;

        DL_FOREACH(wardens.all, w)
                if (w->owned.process == p) {
                        w->is_dead = true;
                        disk_unshare_lock(w->lock_fd);
                        process_wake(p);
                }
}

void child_end_warden(const Process *receiver)
{
        ChildWarden *w, *next;
        HOST_SCOPE;

        DL_FOREACH_SAFE(wardens.all, w, next)
                if (w->receiver == receiver && !w->owned.process) {
                        kill_groups(w);
                        warden_free(w);
                }
}

void warden_suspend(Machine *m, bool suspend)
{
        ChildWarden *w;

        DL_FOREACH(wardens.all, w) {
                if (process_machine(w->receiver) != m)
                        continue;
                if (!suspend && w->left != USEC_INFINITY)
                        act_in(w, w->left);
                else if (suspend && event_is_set(&w->act)) {
                        w->left = w->due > world_now() ? w->due - world_now() : 0;
                        event_unset(&w->act);
                }
        }
}

/* A warden whose receiver is not reclaimed yet goes with it. */
void warden_lose_power(Machine *m)
{
        ChildWarden *w, *next;

        DL_FOREACH_SAFE(wardens.all, w, next)
                if (process_machine(w->receiver) == m && !w->owned.process)
                        warden_free(w);
}
