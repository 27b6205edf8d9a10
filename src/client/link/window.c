/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/link/window.h"

#include <errno.h>
#include <sys/socket.h>
#include <utlist.h>

#include "base/crash-point.h"
#include "base/log.h"
#include "client/engine/bind.h"
#include "client/link/peers.h"

#define ANNOUNCE_USEC  USEC_PER_SEC
#define WINDOWS_MAX    32u  /* streams to one receiver, from where no other one is begun */
#define ANNOUNCE_COUNT 128u /* at once, so that the window moves on under load */

static SendWindow *find(const Peer *p, sd_id128_t stream)
{
        SendWindow *l;

        DL_FOREACH(p->windows, l) {
                if (sd_id128_equal(l->stream, stream))
                        return l;
        }
        return NULL;
}

int window_load(Peer *p, sd_id128_t stream, SendWindow **ret)
{
        SendWindow *l = find(p, stream);

        if (!l) {
                l = calloc(1, sizeof *l);
                if (!l)
                        return -ENOMEM;
                l->peer = p;
                l->stream = stream;
                sequence_set_init(&l->settled);
                DL_PREPEND(p->windows, l);
        }
        *ret = l;
        return 0;
}

static void on_kept(DbOp *op, int r)
{
        OutboxStreamOp *o = CONTAINER_OF(op, OutboxStreamOp, op);
        Peer *p = peer_find(o->userdata, o->receiver);
        SendWindow *l = p ? find(p, o->stream) : NULL;

        if (r < 0)
                log_debug_errno(r, "Cannot note a new stream in the outbox");
        if (l) {
                l->keeping = false;
                l->kept = r >= 0;
        }
        if (l && l->kept)
                bind_for_peer(p);
        free(o);
}

static void keep(SendWindow *l)
{
        OutboxStreamOp *o = l->keeping ? NULL : calloc(1, sizeof *o);

        if (!o)
                return;
        l->keeping = true;
        outbox_stream_op_init(o);
        o->keep = true;
        o->stream = l->stream;
        o->receiver = l->peer->info.id;
        o->userdata = l->peer->client;
        o->op.done = on_kept;
        db_submit(l->peer->client->db, &o->op);
}

static unsigned count(const Peer *p)
{
        unsigned n = 0;
        const SendWindow *l;

        DL_FOREACH(p->windows, l)
                n++;
        return n;
}

/* A few that do not come to their end (they fail for ever, or run for hours) hold the window up for all
 * behind them: those go on in another stream, and this one is closed when the few are done. */
static bool is_held_up(const SendWindow *l)
{
        return l->next_sequence > 0 && !window_has_room(l) && l->n_open < STREAM_WINDOW / 2 &&
               count(l->peer) < WINDOWS_MAX;
}

int window_current(Peer *p, SendWindow **ret)
{
        int r = window_load(p, p->stream_id, ret);
        sd_id128_t fresh;

        if (r >= 0 && is_held_up(*ret) && random_uuid(NULL, fresh.bytes) >= 0) {
                (*ret)->next_sequence = 0;
                p->stream_id = fresh;
                r = window_load(p, fresh, ret);
        }
        if (r >= 0 && (*ret)->next_sequence == 0) {
                (*ret)->next_sequence = 1;
                keep(*ret);
        }
        return r;
}

bool window_is_kept(SendWindow *l)
{
        if (!l->kept)
                keep(l);
        return l->kept;
}

bool window_has_room(const SendWindow *l)
{
        return l->next_sequence - l->settled.low < MIN(STREAM_WINDOW, l->peer->link.window);
}

uint64_t window_open(SendWindow *l)
{
        l->n_open++;
        return l->next_sequence++;
}

static bool is_closed(const SendWindow *l)
{
        return l->next_sequence == 0 && l->n_open == 0;
}

void window_settle(SendWindow *l, uint64_t sequence)
{
        Client *c = l->peer->client;

        l->n_open--;
        l->peer->full = false;
        /* Without memory for it the receiver keeps a record until the stream is closed: no harm. */
        if (sequence_set_add(&l->settled, sequence, sequence) < 0)
                return;
        l->n_unannounced++;
        if (l->n_unannounced >= ANNOUNCE_COUNT)
                windows_announce(l->peer, false);
        else if (!timer_is_armed(&c->windows.timer))
                (void) timer_arm_in(&c->windows.timer, ANNOUNCE_USEC);
}

int window_load_open(SendWindow *l, uint64_t sequence)
{
        l->n_open++;
        return sequence_set_add(&l->settled, sequence, sequence);
}

/* Until now `settled` held what is open: everything else of an old stream is settled, or was never used. */
static int invert(SendWindow *l)
{
        SequenceSet open = l->settled, settled;
        uint64_t from = open.low;
        int r = 0;

        sequence_set_init(&settled);
        for (size_t i = 0; i < open.n_ranges && r >= 0; i++) {
                if (open.ranges[i].first > from)
                        r = sequence_set_add(&settled, from, open.ranges[i].first - 1);
                from = open.ranges[i].last + 1;
        }
        if (r >= 0)
                r = sequence_set_add(&settled, from, INT64_MAX - 1);
        sequence_set_clear(&l->settled);
        l->settled = settled;
        return r;
}

int windows_load_finish(Peer *p)
{
        SendWindow *l;
        int r = 0;

        DL_FOREACH(p->windows, l) {
                if (r >= 0)
                        r = invert(l);
        }
        return r;
}

void windows_announce(Peer *p, bool all)
{
        SendWindow *l;

        if (!peer_is_connected(p))
                return;
        DL_FOREACH(p->windows, l) {
                if (!all && l->n_unannounced == 0)
                        continue;
                if (l->settled.low == 1 && l->settled.n_ranges == 0 && !is_closed(l))
                        continue;
                crash_point("before-announcing");
                if (frame_encode_settled(connection_output(p->link.connection), l->stream,
                                    is_closed(l) ? SETTLED_CLOSED : 0, &l->settled) < 0)
                        return;
                l->n_unannounced = 0;
        }
        connection_flush(p->link.connection);
        crash_point("behind-announcing");
}

void windows_on_timer(void *userdata)
{
        Client *c = userdata;
        Peer *p;

        DL_FOREACH2(c->peers.connected, p, link.next)
        windows_announce(p, false);
}

/* The loop will not write any more, so this does, as far as the kernel takes it at once. */
void windows_announce_last(Client *c)
{
        Peer *p;

        DL_FOREACH2(c->peers.connected, p, link.next)
        {
                windows_announce(p, false);
                connection_write_now(p->link.connection);
        }
}

static void on_forgotten(DbOp *op, int r)
{
        if (r < 0)
                log_debug_errno(r, "Cannot remove a closed stream from the outbox");
        free(CONTAINER_OF(op, OutboxStreamOp, op));
}

void window_pruned(Peer *p, sd_id128_t stream)
{
        SendWindow *l = find(p, stream);

        if (!l || !is_closed(l))
                return;
        OutboxStreamOp *o = calloc(1, sizeof *o);
        if (o) {
                outbox_stream_op_init(o);
                o->stream = stream;
                o->receiver = p->info.id;
                o->op.done = on_forgotten;
                db_submit(p->client->db, &o->op);
        }
        DL_DELETE(p->windows, l);
        sequence_set_clear(&l->settled);
        free(l);
        p->full = false; /* another stream may be begun */
}

void windows_clear(Peer *p)
{
        SendWindow *l, *next;

        DL_FOREACH_SAFE(p->windows, l, next) {
                sequence_set_clear(&l->settled);
                free(l);
        }
        p->windows = NULL;
}
