/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/discovery-watch.h"

#include <errno.h>
#include <utlist.h>

#include "discovery/discovery-api.h"

struct Waiter {
        HttpExchange *exchange;
        HeapItem deadline;
        Waiter *prev, *next;
};

static void answer(Discovery *d, Waiter *w)
{
        heap_remove(&d->deadlines, &w->deadline);
        DL_DELETE(d->waiters, w);
        d->n_waiters--;
        api_answer_list(d, w->exchange);
        free(w);
}

/* Also how a change is told: not from inside the request that makes it, and once for many. */
static void on_deadline(void *userdata)
{
        Discovery *d = userdata;
        HeapItem *first;

        while ((first = heap_first(&d->deadlines)) && first->due <= now_usec(CLOCK_BOOTTIME))
                answer(d, CONTAINER_OF(first, Waiter, deadline));
        (void) timer_arm_at(&d->deadline_timer, first ? first->due : USEC_INFINITY);
}

int watch_init(Discovery *d)
{
        return timer_init(&d->deadline_timer, loop_event(d->loop), "watch", on_deadline, d);
}

void watch_clear(Discovery *d)
{
        while (d->waiters)
                answer(d, d->waiters);
        heap_clear(&d->deadlines);
        timer_clear(&d->deadline_timer);
}

int watch_add(Discovery *d, HttpExchange *x, uint64_t usec)
{
        Waiter *w;

        if (d->n_waiters >= WAITERS_MAX)
                return -ENOSPC;
        w = calloc(1, sizeof *w);
        if (!w)
                return -ENOMEM;
        w->exchange = x;
        heap_item_init(&w->deadline);
        if (heap_put(&d->deadlines, &w->deadline, now_usec(CLOCK_BOOTTIME) + usec) < 0) {
                free(w);
                return -ENOMEM;
        }
        DL_APPEND(d->waiters, w);
        d->n_waiters++;
        return timer_arm_at(&d->deadline_timer, heap_first(&d->deadlines)->due);
}

void watch_changed(Discovery *d)
{
        Waiter *w;

        DL_FOREACH(d->waiters, w)
                (void) !heap_put(&d->deadlines, &w->deadline, 0);
        if (d->waiters)
                (void) timer_arm_in(&d->deadline_timer, 0);
}
