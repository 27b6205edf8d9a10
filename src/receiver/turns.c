/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "receiver/turns.h"

#include <utlist.h>

#include "base/time-util.h"

bool turn_may_take(const Turns *ts, const Turn *t, size_t n_free)
{
        return n_free > ts->n_offers - t->offered;
}

static void drop_offer(Turns *ts, Turn *t)
{
        if (!t->offered)
                return;
        DL_DELETE(ts->offers, t);
        ts->n_offers--;
        t->offered = false;
}

static void stop_waiting(Turns *ts, Turn *t)
{
        if (t->waits)
                DL_DELETE(ts->waiting, t);
        t->waits = false;
}

void turn_taken(Turns *ts, Turn *t)
{
        turn_leave(ts, t);
        t->refused = false;
}

void turn_refused(Turns *ts, Turn *t)
{
        const bool first = t->offered;

        t->refused = true;
        if (t->waits)
                return;
        t->waits = true;
        /* The place that it was offered is gone: it does not wait until the offer is over, but for the next.
         */
        drop_offer(ts, t);
        if (first)
                DL_PREPEND(ts->waiting, t);
        else
                DL_APPEND(ts->waiting, t);
}

void turn_leave(Turns *ts, Turn *t)
{
        stop_waiting(ts, t);
        drop_offer(ts, t);
}

Turn *turns_offer(Turns *ts, size_t n_free, uint64_t now)
{
        Turn *t = ts->waiting;

        if (!t || n_free <= ts->n_offers)
                return NULL;
        stop_waiting(ts, t);
        t->offered = true;
        t->until = usec_add(now, TURN_OFFER_USEC);
        DL_APPEND(ts->offers, t);
        ts->n_offers++;
        return t;
}

uint64_t turns_expire(Turns *ts, uint64_t now)
{
        while (ts->offers && ts->offers->until <= now)
                drop_offer(ts, ts->offers);
        return ts->offers ? ts->offers->until : USEC_INFINITY;
}
