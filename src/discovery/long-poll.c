/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "discovery/long-poll.h"

#include <errno.h>
#include <stdlib.h>

/* An estimate of what one answer costs. After a change, the answers are delayed by this much for each
 * waiting request. So half of the time is left for other requests, however fast changes follow one another.
 */
#define ANSWER_USEC 50u

struct LongPoll {
        HttpExchange *exchange;
        Group *group;
        bool local; /* over a Unix socket */
        bool woken; /* it is due because of a change */
        HeapItem due;
        LongPoll *prev, *next; /* of its group, the newest at the end */
};

static void answer(LongPolls *ps, LongPoll *p)
{
        ListQuery q;

        heap_remove(&ps->due, &p->due);
        DL_DELETE(p->group->long_polls, p);
        ps->n[p->local]--;
        if (list_query_parse(p->exchange, ps->groups, &ps->lists->leases->index, &q))
                lists_answer(ps->lists, p->exchange, &q);
        group_release(ps->groups, p->group);
        free(p);
}

static void arm(LongPolls *ps)
{
        HeapItem *first = heap_first(&ps->due);

        (void) timer_arm_at(&ps->timer, first ? first->due : USEC_INFINITY);
}

/* Also answers the requests that a change has woken. So they are answered outside of the request that makes
 * the change, and once for several changes. */
static void on_timer(void *userdata)
{
        LongPolls *ps = userdata;
        uint64_t now = now_usec(CLOCK_BOOTTIME);
        HeapItem *first;

        while ((first = heap_first(&ps->due)) && first->due <= now)
                answer(ps, CONTAINER_OF(first, LongPoll, due));
        arm(ps);
}

int long_polls_init(LongPolls *ps, Loop *loop, Lists *lists)
{
        *ps = (LongPolls){.groups = lists->groups, .lists = lists};
        return timer_init(&ps->timer, loop, "long-polls", on_timer, ps);
}

void long_polls_clear(LongPolls *ps)
{
        HeapItem *first;

        while ((first = heap_first(&ps->due)))
                answer(ps, CONTAINER_OF(first, LongPoll, due));
        heap_clear(&ps->due);
        timer_clear(&ps->timer);
        ps->closed = true;
}

/* The two limits are separate: anyone on the host may connect to loopback, and must not use up what the
 * members of the socket's group need. */
int long_polls_add(LongPolls *ps, HttpExchange *x, const ListQuery *q)
{
        bool local = http_is_local(x), room = ps->n[local] < LONG_POLLS_MAX;
        int r = -ENOMEM;

        if (ps->closed)
                return -ESHUTDOWN;
        Group *g = group_get(ps->groups, q->group);
        if (!g)
                return -EINVAL;
        LongPoll *p = room ? calloc(1, sizeof *p) : NULL;
        if (p) {
                *p = (LongPoll){.exchange = x, .group = g, .local = local};
                heap_item_init(&p->due);
                r = heap_put(&ps->due, &p->due, now_usec(CLOCK_BOOTTIME) + q->wait_usec);
        }
        if (r < 0) {
                free(p);
                group_release(ps->groups, g);
                return room ? r : -ENOSPC;
        }
        DL_APPEND(g->long_polls, p);
        ps->n[local]++;
        if (heap_first(&ps->due) == &p->due)
                arm(ps);
        return 0;
}

void long_polls_wake(LongPolls *ps, Group *g)
{
        LongPoll *p = g->long_polls ? g->long_polls->prev : NULL; /* the newest */
        uint64_t due = p ? now_usec(CLOCK_BOOTTIME) + (ps->n[0] + ps->n[1]) * ANSWER_USEC : 0;

        /* A change wakes all requests of the group. So if one is woken, all that are older are woken too. */
        if (!p || p->woken)
                return;
        for (; !p->woken; p = p->prev) {
                p->woken = true;
                if (p->due.due > due)
                        (void) !heap_put(&ps->due, &p->due, due);
        }
        arm(ps);
}
