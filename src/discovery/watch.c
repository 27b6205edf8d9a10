/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/watch.h"

#include <errno.h>
#include <stdlib.h>

/* What one answer may cost: between two changes that all are told of, there is time for something else. */
#define ANSWER_USEC 50u

struct Waiter {
        HttpExchange *exchange;
        Group *group;
        bool local; /* over a Unix socket */
        bool told;  /* it is due because of a change */
        HeapItem deadline;
        Waiter *prev, *next;
};

static void answer(Discovery *d, Waiter *w)
{
        ListQuery q;

        heap_remove(&d->deadlines, &w->deadline);
        DL_DELETE(w->group->waiters, w);
        d->n_waiters[w->local]--;
        if (list_parse_query(d, w->exchange, &q))
                list_answer(d, w->exchange, &q);
        group_release(d, w->group);
        free(w);
}

static void arm(Discovery *d)
{
        HeapItem *first = heap_first(&d->deadlines);

        (void) timer_arm_at(&d->deadline_timer, first ? first->due : USEC_INFINITY);
}

/* Also how a change is told: not from inside the request that makes it, and once for many. */
static void on_deadline(void *userdata)
{
        Discovery *d = userdata;
        uint64_t now = now_usec(CLOCK_BOOTTIME);
        HeapItem *first;

        while ((first = heap_first(&d->deadlines)) && first->due <= now)
                answer(d, CONTAINER_OF(first, Waiter, deadline));
        arm(d);
}

int watch_init(Discovery *d)
{
        return timer_init(&d->deadline_timer, d->loop, "watch", on_deadline, d);
}

void watch_clear(Discovery *d)
{
        HeapItem *first;

        while ((first = heap_first(&d->deadlines)))
                answer(d, CONTAINER_OF(first, Waiter, deadline));
        heap_clear(&d->deadlines);
        timer_clear(&d->deadline_timer);
}

/* Anyone on the host may connect to loopback: what waits there leaves room for who may use the socket. */
int watch_add(Discovery *d, HttpExchange *x, const ListQuery *q)
{
        Group *g = q->group ? group_get(d, q->group) : &d->all;
        bool local = http_is_local(x), room = d->n_waiters[local] < WAITERS_MAX;
        int r = -ENOMEM;

        if (!g)
                return -EINVAL;
        Waiter *w = room ? calloc(1, sizeof *w) : NULL;
        if (w) {
                *w = (Waiter){.exchange = x, .group = g, .local = local};
                heap_item_init(&w->deadline);
                r = heap_put(&d->deadlines, &w->deadline, now_usec(CLOCK_BOOTTIME) + q->wait_usec);
        }
        if (r < 0) {
                free(w);
                group_release(d, g);
                return room ? r : -ENOSPC;
        }
        DL_APPEND(g->waiters, w);
        d->n_waiters[local]++;
        if (heap_first(&d->deadlines) == &w->deadline)
                arm(d);
        return 0;
}

void watch_changed(Discovery *d, Group *g)
{
        Waiter *w = g->waiters ? g->waiters->prev : NULL; /* the newest */
        size_t n = d->n_waiters[0] + d->n_waiters[1];
        uint64_t due = w ? now_usec(CLOCK_BOOTTIME) + n * ANSWER_USEC : 0;

        if (!w || w->told)
                return;
        /* Those before one that was told were told with it. */
        for (; !w->told; w = w->prev) {
                w->told = true;
                if (w->deadline.due > due)
                        (void) !heap_put(&d->deadlines, &w->deadline, due);
        }
        arm(d);
}
