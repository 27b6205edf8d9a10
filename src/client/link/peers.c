/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/link/peers.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/cleanup.h"
#include "client/link/connection.h"
#include "client/link/pause.h"
#include "client/link/plain.h"
#include "client/link/window.h"
#include "client/state/peer.h"
#include "client/state/queue.h"

static void on_timer(void *userdata)
{
        Peer *p = userdata;

        if (p->plain)
                plain_on_timeout(p);
        else if (p->link.state == PEER_CONNECTING)
                peer_connection_timeout(p);
        else if (p->link.state == PEER_CONNECTED)
                peer_check(p);
        else
                p->client->link.idle(p);
}

int peer_get(Client *c, sd_id128_t id, Peer **ret)
{
        Peer *p = peer_find(c, id);
        int r;

        if (!p) {
                p = calloc(1, sizeof *p);
                if (!p)
                        return -ENOMEM;
                p->client = c;
                p->info.id = id;
                peer_link_init(p);
                r = random_uuid(&c->random, p->stream_id.bytes);
                if (r >= 0)
                        r = timer_init(&p->timer, c->loop, "peer", on_timer, p);
                if (r >= 0)
                        r = pause_init(p);
                if (r < 0) {
                        timer_clear(&p->timer);
                        free(p);
                        return r;
                }
                HASH_ADD(hh, c->peers.by_id, info.id, sizeof p->info.id, p);
        }
        *ret = p;
        return 0;
}

static void forget_name(Peer *p)
{
        if (p->listed)
                HASH_DELETE(hh_name, p->client->peers.by_name, p);
        if (p->remembered)
                HASH_DELETE(hh_name, p->client->peers.remembered, p);
        p->listed = p->remembered = false;
}

/* The name has a new holder. An earlier one that left is known by its id only, and forgotten first. */
static void take_name(Client *c, const char *name)
{
        Peer *other;

        HASH_FIND(hh_name, c->peers.remembered, name, strlen(name), other);
        if (!other)
                return;
        forget_name(other);
        other->left = 0;
}

static void remember_name(Peer *p)
{
        Client *c = p->client;
        Peer *other;

        if (!p->info.name)
                return;
        HASH_FIND(hh_name, c->peers.by_name, p->info.name, strlen(p->info.name), other);
        if (other)
                return;
        take_name(c, p->info.name);
        p->remembered = true;
        HASH_ADD_KEYPTR(hh_name, c->peers.remembered, p->info.name, strlen(p->info.name), p);
}

static void describe(Peer *p, ReceiverInfo *info)
{
        receiver_info_clear(&p->info);
        p->info = *info;
        *info = (ReceiverInfo){};
}

void peer_remember(Peer *p, ReceiverInfo *info)
{
        forget_name(p);
        describe(p, info);
        remember_name(p);
}

unsigned peer_list(Peer *p, ReceiverInfo *info)
{
        Client *c = p->client;
        Peer *other;
        unsigned changes = (p->listed ? 0 : PEER_CAME) |
                           (receiver_info_equal(&p->info, info) ? 0 : PEER_CHANGED);

        forget_name(p);
        describe(p, info);
        take_name(c, p->info.name);
        /* Discovery never lists two receivers with one name. If it did, a look-up would find the later one.
         */
        HASH_FIND(hh_name, c->peers.by_name, p->info.name, strlen(p->info.name), other);
        if (other)
                forget_name(other);
        p->listed = true;
        p->sought = p->sought || changes;
        HASH_ADD_KEYPTR(hh_name, c->peers.by_name, p->info.name, strlen(p->info.name), p);
        /* It came back, perhaps at another address, so earlier failures mean nothing. */
        if (changes && p->link.state == PEER_IDLE)
                peer_reset_failures(p);
        return changes;
}

bool peer_unlist(Peer *p)
{
        if (!p->listed)
                return false;
        forget_name(p);
        remember_name(p);
        p->left = ++p->client->peers.n_left;
        return true;
}

static void peer_free(Peer *p)
{
        Client *c = p->client;

        peer_disconnect(p);
        forget_name(p);
        for (Queue *q = c->queues.by_text; q; q = q->hh.next)
                if (q->owner == p)
                        q->owner = NULL;
        while (p->keys) /* at the end of the process */
                queue_wait_no_more(p->keys);
        HASH_DELETE(hh, c->peers.by_id, p);
        index_clear(&p->members); /* not empty at the end of the process */
        windows_clear(p);
        timer_clear(&p->timer);
        pause_clear(p);
        retry_cancel(&c->retries, &p->retry);
        loop_cancel(c->loop, &p->room);
        receiver_info_clear(&p->info);
        free(p->link.problem);
        free(p);
}

static void on_removed(DbOp *op, int r)
{
        free(CONTAINER_OF(op, OutboxReceiverOp, op));
}

static void forget(Peer *p)
{
        OutboxReceiverOp *o = calloc(1, sizeof *o);

        if (o) {
                outbox_receiver_op_init(o);
                o->id = p->info.id;
                o->op.done = on_removed;
                db_submit(p->client->db, &o->op);
        }
        peer_free(p);
}

static bool is_used(const Queue *q)
{
        return q && (queue_is_waiting(q) || q->n_messages > 0);
}

/* Something is bound to it, or waits for it. */
static bool is_needed(const Peer *p)
{
        return p->n_bound > 0 || is_used(queue_of_receiver(p->client, p->info.id)) ||
               is_used(queue_of_holder(p));
}

void peer_release(Peer *p)
{
        if (!p->listed && !p->remembered && !is_needed(p) && !p->windows && p->link.state == PEER_IDLE)
                forget(p);
}

/* The receiver has left, and this client has nothing open there. If it comes back, the client uses a new
 * stream, and the receiver keeps its records of the old ones. */
static bool is_forgettable(const Peer *p)
{
        const SendWindow *w;

        if (p->listed || is_needed(p) || p->link.state != PEER_IDLE)
                return false;
        DL_FOREACH(p->windows, w) {
                if (w->n_open > 0)
                        return false;
        }
        return true;
}

static int by_time(const void *a, const void *b)
{
        const Peer *x = *(Peer *const *) a, *y = *(Peer *const *) b;

        return x->left != y->left ? (x->left < y->left ? -1 : 1)
                                  : memcmp(&x->info.id, &y->info.id, sizeof x->info.id);
}

void peers_forget(Client *c)
{
        const size_t n_kept = HASH_CNT(hh_name, c->peers.by_name) + DEPARTED_MAX;
        size_t n_all = HASH_COUNT(c->peers.by_id), n = 0;

        if (n_all <= n_kept)
                return;
        _cleanup_free_ Peer **peers = calloc(n_all, sizeof *peers);
        for (Peer *p = peers ? c->peers.by_id : NULL; p; p = p->hh.next)
                if (is_forgettable(p))
                        peers[n++] = p;
        if (n > 0)
                qsort(peers, n, sizeof *peers, by_time);
        for (size_t i = 0; i < n && n_all > n_kept; i++, n_all--)
                forget(peers[i]);
}

void peers_clear(Client *c)
{
        Peer *p, *next;

        HASH_ITER(hh, c->peers.by_id, p, next)
                peer_free(p);
}
