/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/settle.h"

#include <errno.h>

#include "base/crash-point.h"
#include "base/log.h"

#define AGAIN_USEC (5 * USEC_PER_SEC) /* after the disk has refused a write */

struct Settle {
        Settles *settles;
        sd_id128_t stream; /* key */
        SequenceSet set;   /* the copy that is being written; the one in the index may change meanwhile */
        DedupPruneOp prune;
        DedupForgetOp forget;
        bool writing; /* one of the two is with the database */
        bool again;   /* something is to be written that the last write did not have, or that it lost */
        bool refused; /* by the disk: the timer tries again */
        bool closed;
        uint64_t conn; /* who waits for PRUNED */
        UT_hash_handle hh;
};

static Settle *find(const Settles *all, sd_id128_t stream)
{
        Settle *s;

        HASH_FIND(hh, all->by_stream, &stream, sizeof stream, s);
        return s;
}

static Settle *make(Settles *all, sd_id128_t stream)
{
        Settle *s = find(all, stream);

        if (s || HASH_COUNT(all->by_stream) >= RECEIVER_STREAMS_MAX)
                return s;
        s = calloc(1, sizeof *s);
        if (!s)
                return NULL;
        s->settles = all;
        s->stream = stream;
        sequence_set_init(&s->set);
        HASH_ADD(hh, all->by_stream, stream, sizeof s->stream, s);
        return s;
}

static void settle_free(Settle *s)
{
        HASH_DEL(s->settles->by_stream, s);
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

static void on_refused(Settle *s, int error, const char *what)
{
        if (!s->refused)
                (void) log_error_errno(error, "Cannot %s, trying again", what);
        s->refused = true;
        if (!timer_is_armed(&s->settles->again))
                (void) timer_arm_in(&s->settles->again, AGAIN_USEC);
}

static void on_pruned(DbOp *op, int result)
{
        Settle *s = CONTAINER_OF(op, Settle, prune.op);

        crash_point("behind-pruning");
        s->writing = false;
        if (result < 0) {
                s->again = true;
                on_refused(s, result, "record settled messages");
                return;
        }
        s->refused = false;
        next_step(s);
}

static void on_forgotten(DbOp *op, int result)
{
        Settle *s = CONTAINER_OF(op, Settle, forget.op);

        s->writing = false;
        if (result < 0) {
                on_refused(s, result, "forget a closed stream");
                return;
        }
        crash_point("forgotten-before-telling");
        conn_pruned(s->settles->conns, s->conn, s->stream);
        s->refused = s->closed = false;
        next_step(s);
}

static bool forget(Settle *s)
{
        Settles *all = s->settles;

        if (dedup_index_forget(all->index, s->stream) < 0)
                return false;
        if (!dedup_index_is_full(all->index))
                all->full = false;
        dedup_forget_op_init(&s->forget);
        s->forget.op.done = on_forgotten;
        s->forget.stream = s->stream;
        s->writing = true;
        s->again = false;
        db_submit(all->db, &s->forget.op);
        return true;
}

static int prune(Settle *s)
{
        Settles *all = s->settles;
        SequenceSet nothing = {.low = 1};
        const SequenceSet *merged;
        int r;

        s->again = false;
        r = dedup_index_settle(all->index, &nothing, s->stream, &merged);
        if (r >= 0)
                r = merge(merged, &s->set);
        if (r < 0)
                return r;
        dedup_prune_op_init(&s->prune);
        s->prune.op.done = on_pruned;
        s->prune.stream = s->stream;
        s->prune.settled = &s->set;
        s->writing = true;
        db_submit_lazily(all->db, &s->prune.op);
        return 0;
}

/* Begins the next write, or frees `s` when there is none. */
static void next_step(Settle *s)
{
        int r;

        if (s->writing)
                return;
        if (s->closed && (forget(s) || !s->again))
                return;
        if (s->again && condition_permits(s->settles->condition, MAY_PRUNE)) {
                r = prune(s);
                if (r < 0) {
                        s->again = true;
                        on_refused(s, r, "record settled messages");
                }
                return;
        }
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
        const Settles *all = userdata;

        return conn_is_open(all->conns, conn) || find(all, stream);
}

static void on_evicted(DbOp *op, int result)
{
        if (result < 0)
                (void) log_error_errno(result, "Cannot forget a stream whose sender is gone");
        free(CONTAINER_OF(op, DedupForgetOp, op));
}

static void complain(Settles *all)
{
        if (!all->full)
                log_warning("New senders are answered busy: all %u streams are in use. Their senders are "
                            "connected, or were heard within a day and have not settled everything",
                                RECEIVER_STREAMS_MAX);
        all->full = true;
}

bool settles_make_room(Settles *all)
{
        DedupForgetOp *o = calloc(1, sizeof *o);
        sd_id128_t stream;

        if (!o)
                return false;
        int n = dedup_index_evict(all->index, loop_now(all->loop, CLOCK_MONOTONIC), is_in_use, all, &stream);
        if (n < 0) {
                free(o);
                complain(all);
                return false;
        }
        if (n > 0)
                log_notice("Forgetting the outcomes of %d messages to make room for a new sender: their "
                           "sender has been silent for a day. If it comes back, they may run again",
                                n);
        all->full = false;
        dedup_forget_op_init(o);
        o->op.done = on_evicted;
        o->stream = stream;
        db_submit(all->db, &o->op);
        return true;
}

/* Of a closed stream nothing needs to be remembered, known or not. */
static int merge_announced(Settles *all, const SettledFrame *f, Error *error)
{
        const bool closed = f->flags & SETTLED_CLOSED;
        const SequenceSet *merged;
        SequenceSet set;
        int r;

        sequence_set_init(&set);
        r = read_set(f, &set, error);
        if (r >= 0 && !closed)
                r = dedup_index_settle(all->index, &set, f->stream, &merged);
        if (r == -ENOSPC && settles_make_room(all))
                r = dedup_index_settle(all->index, &set, f->stream, &merged);
        sequence_set_clear(&set);
        return r;
}

int settle_announced(Settles *all, const Sender *sender, const SettledFrame *f, Error *error)
{
        const bool closed = f->flags & SETTLED_CLOSED;
        int r = merge_announced(all, f, error);

        /* Nothing will be remembered of the stream, so what an older connection still holds of it must not
           come after this. */
        if (closed) {
                dedup_index_close(all->index, f->stream);
                conns_end_older(all->conns, sender);
        }

        dedup_index_used(all->index, f->stream, sender->conn, loop_now(all->loop, CLOCK_MONOTONIC));
        if (r == -EPROTO)
                return error_set(error, r, "more messages are open in the stream than its window allows");

        Settle *s = r >= 0 ? make(all, f->stream) : NULL;
        if (r == -ENOMEM || (r >= 0 && !s && HASH_COUNT(all->by_stream) < RECEIVER_STREAMS_MAX))
                /* The sender announces it again on its next connection. */
                return -ENOMEM;
        if (!s) {
                log_debug("No room to settle a stream now");
                return 0;
        }
        s->again |= !closed;
        s->closed |= closed;
        s->conn = sender->conn;
        next_step(s);
        return 0;
}

void settles_job_ended(Settles *all, sd_id128_t stream, bool wanted)
{
        Settle *s = wanted ? find(all, stream) : make(all, stream);

        if (!s)
                return;
        s->again |= !wanted;
        if (s->closed || !wanted)
                next_step(s);
}

static void on_timer(void *userdata)
{
        Settle *s, *next;

        HASH_ITER(hh, ((Settles *) userdata)->by_stream, s, next)
                if (s->refused)
                        next_step(s);
}

int settles_init(Settles *all)
{
        return timer_init(&all->again, all->loop, "settle", on_timer, all);
}

void settles_clear(Settles *all)
{
        Settle *s, *next;

        timer_clear(&all->again);
        HASH_ITER(hh, all->by_stream, s, next)
                settle_free(s);
}
