/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/engine/due.h"

int due_init(Client *c, void (*on_time)(void *userdata))
{
        c->due.armed = USEC_INFINITY;
        return timer_init(&c->due.timer, c->loop, "due", on_time, c);
}

void due_arm(Message *m, uint64_t usec)
{
        Client *c = m->client;
        HeapItem *first;

        /* message_new() has made room for it. */
        (void) !heap_put(&c->due.heap, &m->due, usec_add(loop_now(c->loop, CLOCK_BOOTTIME), usec));
        first = heap_first(&c->due.heap);
        /* A timer that fires too early only arms itself again. */
        if (first && first->due < c->due.armed && !c->due.held) {
                c->due.armed = first->due;
                (void) timer_arm_at(&c->due.timer, first->due);
        }
}

void due_disarm(Message *m)
{
        heap_remove(&m->client->due.heap, &m->due);
}
