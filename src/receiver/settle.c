/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/settle.h"

#include <errno.h>

#include "base/crash-point.h"
#include "base/log.h"
#include "receiver/receiver.h"

struct Settle {
        Receiver *receiver;
        sd_id128_t stream; /* key */
        SequenceSet set;   /* the copy that is being written; the index's own goes on changing */
        DedupPruneOp prune;
        DedupForgetOp forget;
        bool writing; /* one of the two is under way */
        bool again;   /* more was announced meanwhile */
        bool closed;
        uint64_t conn; /* who waits for PRUNED */
        UT_hash_handle hh;
};

static Settle *find(const Receiver *r, sd_id128_t stream)
{
        Settle *s;

        HASH_FIND(hh, r->settles.by_stream, &stream, sizeof stream, s);
        return s;
}

static Settle *make(Receiver *r, sd_id128_t stream)
{
        Settle *s = find(r, stream);

        if (s || HASH_COUNT(r->settles.by_stream) >= RECEIVER_STREAMS_MAX)
                return s;
        s = calloc(1, sizeof *s);
        if (!s)
                return NULL;
        s->receiver = r;
        s->stream = stream;
        sequence_set_init(&s->set);
        HASH_ADD(hh, r->settles.by_stream, stream, sizeof s->stream, s);
        return s;
}

static void settle_free(Settle *s)
{
        HASH_DEL(s->receiver->settles.by_stream, s);
        sequence_set_clear(&s->set);
        free(s);
}

static int merge(const SequenceSet *from, SequenceSet *into)
{
        int r = sequence_set_add_below(into, from->low);

        for (size_t i = 0; i < from->n_ranges && r >= 0; i++)
                r = sequence_set_add(into, from->ranges[i].first, from->ranges[i].last);
        return r;
}

static void next_step(Settle *s);

static void on_pruned(DbOp *op, int result)
{
        Settle *s = CONTAINER_OF(op, Settle, prune.op);

        crash_point("behind-pruning");
        if (result < 0)
                (void) log_error_errno(result, "Cannot write what is settled");
        s->writing = false;
        next_step(s);
}

static void on_forgotten(DbOp *op, int result)
{
        Settle *s = CONTAINER_OF(op, Settle, forget.op);

        if (result < 0)
                (void) log_error_errno(result, "Cannot forget a closed stream");
        else {
                crash_point("forgotten-before-telling");
                conn_pruned(s->receiver, s->conn, s->stream);
        }
        s->writing = s->closed = false;
        next_step(s);
}

static bool forget(Settle *s)
{
        Receiver *r = s->receiver;

        if (dedup_index_forget(r->index, s->stream) < 0)
                return false;
        if (!dedup_index_is_full(r->index))
                r->settles.full = false;
        dedup_forget_op_init(&s->forget);
        s->forget.op.done = on_forgotten;
        s->forget.stream = s->stream;
        s->writing = true;
        s->again = false;
        db_submit(r->db, &s->forget.op);
        return true;
}

static int prune(Settle *s)
{
        Receiver *r = s->receiver;
        SequenceSet nothing = {.low = 1};
        const SequenceSet *merged;
        int x;

        s->again = false;
        x = dedup_index_settle(r->index, &nothing, s->stream, &merged);
        if (x >= 0)
                x = merge(merged, &s->set);
        if (x < 0)
                return x;
        dedup_prune_op_init(&s->prune);
        s->prune.op.done = on_pruned;
        s->prune.stream = s->stream;
        s->prune.settled = &s->set;
        s->writing = true;
        db_submit_lazily(r->db, &s->prune.op);
        return 0;
}

/* Writes what there is to write; what cannot be written is announced again by its sender. */
static void next_step(Settle *s)
{
        if (s->writing)
                return;
        if (s->closed && (forget(s) || !s->again))
                return;
        if (s->again && !s->receiver->renewing && prune(s) >= 0)
                return;
        if (!s->closed)
                settle_free(s);
}

static int read_set(const SettledFrame *f, SequenceSet *ret, Error *error)
{
        int r = sequence_set_add_below(ret, f->low);

        for (size_t i = 0; i < f->n_ranges && r >= 0; i++) {
                SequenceRange range = settled_frame_range(f, i);
                r = sequence_set_add(ret, range.first, range.last);
        }
        return r == -EINVAL ? error_set(error, -EPROTO, "a settled range ends before it begins") : r;
}

static bool is_in_use(sd_id128_t stream, uint64_t conn, void *userdata)
{
        const Receiver *r = userdata;

        return conn_is_open(r, conn) || find(r, stream);
}

static void on_evicted(DbOp *op, int result)
{
        if (result < 0)
                (void) log_error_errno(result, "Cannot forget a stream whose sender is gone");
        free(CONTAINER_OF(op, DedupForgetOp, op));
}

static void complain(Receiver *r)
{
        if (!r->settles.full)
                log_warning("New senders are answered busy: of all %u streams that are remembered the "
                            "senders are connected, or were heard within a day and have not settled them",
                                RECEIVER_STREAMS_MAX);
        r->settles.full = true;
}

bool settles_make_room(Receiver *r)
{
        DedupForgetOp *o = calloc(1, sizeof *o);
        sd_id128_t stream;

        if (!o)
                return false;
        int n = dedup_index_evict(r->index, loop_now(r->loop, CLOCK_MONOTONIC), is_in_use, r, &stream);
        if (n < 0) {
                free(o);
                complain(r);
                return false;
        }
        if (n > 0)
                log_notice("Outcomes of %d messages are forgotten to make room for a new sender: theirs "
                           "has been silent for a day. Should it come back, they may run again",
                                n);
        r->settles.full = false;
        dedup_forget_op_init(o);
        o->op.done = on_evicted;
        o->stream = stream;
        db_submit(r->db, &o->op);
        return true;
}

int settle(Receiver *r, uint64_t conn, const SettledFrame *f, Error *error)
{
        const SequenceSet *merged;
        SequenceSet set;
        int x;

        sequence_set_init(&set);
        x = read_set(f, &set, error);
        bool closed = f->flags & SETTLED_CLOSED;
        /* Of a closed stream nothing needs to be remembered, known or not. */
        if (x >= 0 && !closed)
                x = dedup_index_settle(r->index, &set, f->stream, &merged);
        if (x == -ENOSPC && settles_make_room(r))
                x = dedup_index_settle(r->index, &set, f->stream, &merged);
        dedup_index_used(r->index, f->stream, conn, loop_now(r->loop, CLOCK_MONOTONIC));
        sequence_set_clear(&set);
        if (x == -EPROTO)
                return error_set(error, x, "more is open in the stream than its window");

        Settle *s = x >= 0 ? make(r, f->stream) : NULL;
        if (!s) {
                log_debug("No room to settle a stream now");
                return 0;
        }
        s->again |= !closed;
        s->closed |= closed;
        s->conn = conn;
        next_step(s);
        return 0;
}

void settles_stream_idle(Receiver *r, sd_id128_t stream)
{
        Settle *s = find(r, stream);

        if (s && s->closed)
                next_step(s);
}

void settles_clear(Receiver *r)
{
        Settle *s, *next;

        HASH_ITER(hh, r->settles.by_stream, s, next)
                settle_free(s);
}
