/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world/link.h"

#include <stdlib.h>

#include "base/macro.h"
#include "world/inside.h"
#include "world/scheduler.h"
#include "world/socket.h"

struct Link {
        NetLink set;
        Machine *from, *to;
        Link *next;
};

static Link *links;

void link_world_end(void)
{
        for (Link *l; (l = links);) {
                links = l->next;
                free(l);
        }
}

Link *link_between(Machine *from, Machine *to)
{
        Link *l;

        if (!from || !to)
                return NULL;
        for (l = links; l; l = l->next)
                if (l->from == from && l->to == to)
                        return l;
        HOST_SCOPE;
        l = calloc(1, sizeof *l);
        assert(l);
        l->from = from;
        l->to = to;
        l->next = links;
        links = l;
        return l;
}

bool link_carries(const Link *l)
{
        return !l || (!l->set.down && machine_may_run(l->to));
}

uint64_t link_delay(const Link *l)
{
        return l ? world_random_between(l->set.delay_min_usec, l->set.delay_max_usec) : 0;
}

size_t link_piece(const Link *l, size_t n)
{
        if (!l || l->set.piece_max == 0 || n == 1)
                return n;
        return 1 + (size_t) world_random(MIN(n, l->set.piece_max));
}

void net_set(Machine *from, Machine *to, const NetLink *setting)
{
        Link *l = link_between(from, to);

        assert(l && setting->delay_min_usec <= setting->delay_max_usec);
        l->set = *setting;
        net_changed();
}

void net_changed(void)
{
        sockets_changed();
        http_changed();
}
