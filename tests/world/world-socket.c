/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Connections of tests (world.h). */

#include "world/bound.h"
#include "world/socket.h"

static unsigned n_opened;

void socket_note_opened(void)
{
        n_opened++;
}

unsigned world_n_opened(void)
{
        return n_opened;
}

int world_socket(TestSocket **ret)
{
        TestSocket *own = socket_new_pair("");

        *ret = own;
        return socket_accept(own->peer);
}

TestSocket *world_connect(const char *address)
{
        Address a;
        Machine *to;
        const Bound *b = address_parse(address, &a, NULL) >= 0 ? bound_find(NULL, &a, &to) : NULL;
        TestSocket *own;

        if (!bound_is_open(b))
                return NULL;
        own = socket_connect(NULL, b->process, b->machine, &a, 0);
        own->pair->is_held = true;
        return own;
}

void world_send(TestSocket *s, const void *data, size_t n)
{
        assert(!s->peer->peer_is_shut);
        (void) socket_write(s, data, n);
}

Buffer *world_received(TestSocket *s)
{
        return &s->received;
}

void world_stall(TestSocket *s, bool stall)
{
        s->is_stalled = stall;
        if (!stall)
                process_wake(s->peer->process);
}

void world_shutdown(TestSocket *s)
{
        socket_shutdown(s);
}

void world_close(TestSocket *s, int error)
{
        socket_close(s, error);
}

bool world_is_shut(const TestSocket *s)
{
        return s->peer_is_shut;
}

bool world_is_closed(const TestSocket *s)
{
        return s->peer_is_closed;
}
