/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/link/window.h"

#include <errno.h>
#include <utlist.h>

#include "base/crash-point.h"
#include "base/log.h"
#include "base/random-pool.h"
#include "client/state/peer.h"

#define ANNOUNCE_USEC  USEC_PER_SEC
#define WINDOWS_MAX    32u  /* streams to one receiver; at this number no new one starts */
#define ANNOUNCE_COUNT 128u /* so many new settlements are announced at once: the window must advance */

static SendWindow *find(const Peer *p, sd_id128_t stream)
{
        SendWindow *w;

        DL_FOREACH(p->windows, w) {
                if (sd_id128_equal(w->stream, stream))
                        return w;
        }
        return NULL;
}

int window_load(Peer *p, sd_id128_t stream, SendWindow **ret)
{
        SendWindow *w = find(p, stream);

        if (!w) {
                w = calloc(1, sizeof *w);
                if (!w)
                        return -ENOMEM;
                w->peer = p;
                w->stream = stream;
                sequence_set_init(&w->settled);
                w->announced = w->settled.low;
                DL_PREPEND(p->windows, w);
        }
        *ret = w;
        return 0;
}

static void on_kept(DbOp *op, int r)
{
        OutboxStreamOp *o = CONTAINER_OF(op, OutboxStreamOp, op);
        Peer *p = peer_find(o->userdata, o->receiver);
        SendWindow *w = p ? find(p, o->stream) : NULL;

        if (r < 0)
                log_debug_errno(r, "Cannot store a new stream in the outbox");
        if (w) {
                w->keeping = false;
                w->kept = r >= 0;
        }
        if (w && w->kept)
                p->client->link.room(p);
        /* What is settled waited for this, or it is tried again. */
        if (w && w->n_unannounced > 0 && !timer_is_armed(&p->client->windows.timer))
                (void) timer_arm_in(&p->client->windows.timer, ANNOUNCE_USEC);
        free(o);
}

static void keep(SendWindow *w)
{
        OutboxStreamOp *o = w->keeping ? NULL : calloc(1, sizeof *o);

        if (!o)
                return;
        w->keeping = true;
        outbox_stream_op_init(o);
        o->keep = true;
        o->stream = w->stream;
        o->receiver = w->peer->info.id;
        o->userdata = w->peer->client;
        o->op.done = on_kept;
        db_submit(w->peer->client->db, &o->op);
}

static unsigned count(const Peer *p)
{
        unsigned n = 0;
        const SendWindow *w;

        DL_FOREACH(p->windows, w)
                n++;
        return n;
}

static uint64_t window_size(const SendWindow *w)
{
        return MIN(STREAM_WINDOW, w->peer->link.window);
}

static bool is_in_window(const SendWindow *w)
{
        return w->next_sequence - w->settled.low < window_size(w);
}

/* True if a few messages that do not end (they fail for ever, or run for hours) hold up the window. The
 * other messages then use a new stream. The client closes the old stream when those few have ended. */
static bool is_held_up(const SendWindow *w)
{
        return w->next_sequence > 0 && !is_in_window(w) && w->n_open < STREAM_WINDOW / 2 &&
               count(w->peer) < WINDOWS_MAX;
}

int window_current(Peer *p, SendWindow **ret)
{
        int r = window_load(p, p->stream_id, ret);
        sd_id128_t fresh;

        if (r >= 0 && is_held_up(*ret) && random_uuid(&p->client->random, fresh.bytes) >= 0) {
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

bool window_is_kept(SendWindow *w)
{
        if (!w->kept)
                keep(w);
        return w->kept;
}

bool window_has_room(SendWindow *w)
{
        w->peer->full = !is_in_window(w);
        return !w->peer->full;
}

uint64_t window_take(SendWindow *w)
{
        w->n_open++;
        return w->next_sequence++;
}

static bool is_closed(const SendWindow *w)
{
        return w->next_sequence == 0 && w->n_open == 0;
}

void window_settle(SendWindow *w, uint64_t sequence)
{
        Client *c = w->peer->client;

        w->n_open--;
        w->peer->full = false;
        /* If memory runs out, the receiver keeps a record until the stream is closed, which does no harm. */
        if (sequence_set_add(&w->settled, sequence, sequence) < 0)
                return;
        w->n_unannounced++;
        if (w->n_unannounced >= ANNOUNCE_COUNT)
                windows_announce(w->peer, false);
        else if (!timer_is_armed(&c->windows.timer))
                (void) timer_arm_in(&c->windows.timer, ANNOUNCE_USEC);
}

void window_settle_late(Client *c, sd_id128_t receiver, sd_id128_t stream, uint64_t sequence)
{
        Peer *p = peer_find(c, receiver);
        SendWindow *w = p ? find(p, stream) : NULL;
        const bool full = p && p->full;

        if (!w)
                return;
        window_settle(w, sequence);
        if (full)
                c->link.room(p);
}

int window_load_open(SendWindow *w, uint64_t sequence)
{
        w->n_open++;
        return sequence_set_add(&w->settled, sequence, sequence);
}

/* After loading, `settled` holds the open sequences. Of an old stream, all sequences between them are
 * settled or were never used. Those behind them may belong to another process that lives on with our state
 * (this one has a copy of it), so nothing is said about them; the receiver forgets them when the stream is
 * closed. */
static int invert(SendWindow *w)
{
        SequenceSet open = w->settled, settled;
        uint64_t from = open.low;
        int r = 0;

        sequence_set_init(&settled);
        for (size_t i = 0; i < open.n_ranges && r >= 0; i++) {
                if (open.ranges[i].first > from)
                        r = sequence_set_add(&settled, from, open.ranges[i].first - 1);
                from = open.ranges[i].last + 1;
        }
        if (r >= 0 && w->n_open == 0)
                r = sequence_set_add(&settled, from, INT64_MAX - 1);
        sequence_set_clear(&w->settled);
        w->settled = settled;
        return r;
}

int windows_loaded(Peer *p)
{
        SendWindow *w;
        int r = 0;

        DL_FOREACH(p->windows, w) {
                if (r >= 0)
                        r = invert(w);
        }
        return r;
}

/* Returns false if memory runs out. */
static bool announce(SendWindow *w)
{
        Buffer *output = connection_output(w->peer->link.connection);

        if (w->settled.low == 1 && w->settled.n_ranges == 0 && !is_closed(w))
                return true;
        /* The receiver would remember a stream that we may have forgotten after a crash. */
        if (w->next_sequence > 0 && !window_is_kept(w))
                return true;
        crash_point("before-announcing");
        if (frame_encode_settled(output, w->stream, is_closed(w) ? SETTLED_CLOSED : 0, &w->settled) < 0)
                return false;
        w->announced = w->settled.low;
        w->n_unannounced = 0;
        return true;
}

void window_prepare(SendWindow *w, uint64_t sequence)
{
        if (sequence - w->announced >= window_size(w) && w->settled.low > w->announced)
                (void) announce(w);
}

void windows_announce(Peer *p, bool all)
{
        SendWindow *w;

        if (!peer_is_connected(p))
                return;
        DL_FOREACH(p->windows, w) {
                if (all)
                        w->announced = 1;
        }
        DL_FOREACH(p->windows, w) {
                if ((all || w->n_unannounced > 0) && !announce(w))
                        return;
        }
        connection_flush(p->link.connection);
        crash_point("behind-announcing");
}

static void on_timer(void *userdata)
{
        Client *c = userdata;
        Peer *p;

        DL_FOREACH2(c->peers.connected, p, link.next)
        windows_announce(p, false);
}

int windows_init(Client *c)
{
        return timer_init(&c->windows.timer, c->loop, "settle", on_timer, c);
}

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
        SendWindow *w = find(p, stream);

        if (!w || !is_closed(w))
                return;
        OutboxStreamOp *o = calloc(1, sizeof *o);
        if (o) {
                outbox_stream_op_init(o);
                o->stream = stream;
                o->receiver = p->info.id;
                o->op.done = on_forgotten;
                db_submit(p->client->db, &o->op);
        }
        DL_DELETE(p->windows, w);
        sequence_set_clear(&w->settled);
        free(w);
        p->full = false; /* a new stream may start */
}

void windows_clear(Peer *p)
{
        SendWindow *w, *next;

        DL_FOREACH_SAFE(p->windows, w, next) {
                sequence_set_clear(&w->settled);
                free(w);
        }
        p->windows = NULL;
}
