/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a simulator does to the network, and what it sees of it. */

#include "world/net.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

#include "world/bound.h"
#include "world/names.h"
#include "world/socket.h"

static void (*tap)(const NetEvent *e, void *userdata);
static void *tap_userdata;

void net_world_begin(void)
{
        tap = NULL;
        socket_world_begin();
        connection_world_begin();
        listen_world_begin();
        http_server_world_begin();
        http_client_world_begin();
}

void net_world_end(void)
{
        tap = NULL;
        http_client_world_end();
        bound_world_end();
        socket_world_end();
        link_world_end();
        names_world_end();
}

void net_tap(void (*fn)(const NetEvent *e, void *userdata), void *userdata)
{
        tap = fn;
        tap_userdata = userdata;
}

void net_tell(NetEventKind kind, const TestSocket *from, const void *data, size_t size, int error)
{
        HOST_SCOPE;

        if (!tap)
                return;
        const NetEvent e = {
                        .kind = kind,
                        .at = world_now(),
                        .connection = from->pair->number,
                        .from = from->process,
                        .to = from->peer->process,
                        .address = from->pair->address,
                        .data = data,
                        .size = size,
                        .error = error,
        };
        tap(&e, tap_userdata);
}

static bool is_between(const Pair *p, const Process *a, const Process *b)
{
        const Process *one = p->ends[0].process, *two = p->ends[1].process;

        return (one == a && (!b || two == b)) || (two == a && (!b || one == b));
}

static bool is_open(const Pair *p)
{
        for (unsigned i = 0; i < 2; i++)
                if (p->ends[i].is_closed || p->ends[i].error < 0)
                        return false;
        return true;
}

unsigned net_reset(Process *a, Process *b)
{
        unsigned n = 0;
        Pair *p;

        for (p = pairs_first(); p; p = p->next)
                if (is_open(p) && is_between(p, a, b)) {
                        socket_reset(p, -ECONNRESET);
                        n++;
                }
        return n;
}

unsigned net_blackhole(Process *from, Process *to)
{
        unsigned n = 0;
        Pair *p;

        for (p = pairs_first(); p; p = p->next)
                for (unsigned i = 0; i < 2; i++)
                        if (is_open(p) && p->ends[i].process == from && p->ends[1 - i].process == to &&
                                        !p->ends[1 - i].is_deaf) {
                                p->ends[1 - i].is_deaf = true;
                                n++;
                        }
        return n;
}

void net_stall(Process *from, Process *to, uint64_t usec)
{
        Pair *p;

        for (p = pairs_first(); p; p = p->next)
                for (unsigned i = 0; i < 2; i++)
                        if (is_open(p) && p->ends[i].process == from && p->ends[1 - i].process == to)
                                p->ends[1 - i].last_at = MAX(p->ends[1 - i].last_at, world_now() + usec);
}

void net_machine_changed(Machine *m)
{
        if (!machine_is_on(m))
                bound_power_off(m);
        else
                sockets_power_on(m);
        net_changed();
}

bool world_has_memory(void)
{
        void *volatile p;

        if (!process_current())
                return true;
        p = malloc(1);
        free(p);
        return p;
}
